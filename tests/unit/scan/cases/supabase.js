// uses
await supabase.from('projects').select('*').eq('owner_id', user.id);
await supabase.from('projects').select('id, name').eq('id', id).eq('owner_id', user.id).single();
await supabase.from('projects').update({ name }).eq('owner_id', user.id);
await supabase.from('projects').delete().eq('owner_id', user.id).eq('id', id);
await supabase.from('projects').insert({ name, owner_id: user.id });
await supabase.from('projects').insert([{ name, owner_id: user.id }]).select();
await supabase.from('projects').select('*').match({ owner_id: user.id, archived: false });
await supabase.from('projects').select('*').in('owner_id', ids);
await supabase.from('projects').select('*', { count: 'exact' }).filter('owner_id', 'eq', user.id);
await supabase.from('tasks').select('*, projects!inner(*)').eq('projects.owner_id', user.id);
async function kept(user) { let query = supabase.from('projects').select('*'); query = query.eq('owner_id', user.id); return query; }
await supabase.from('projects').upsert({ id, name, owner_id: user.id });
// look-alikes
await supabase.from('projects').select('id, owner_id');
await supabase.from('projects').select('*').neq('owner_id', user.id);
await supabase.from('projects').select('*').is('owner_id', null);
await supabase.from('projects').select('*').order('owner_id');
await supabase.from('projects').select('*').not('owner_id', 'eq', user.id);
await supabase.from('teams').select('*').eq('owner_id', user.id);
await supabase.from('projects').select('*').eq('organization_id', org).eq('owner_id', user.id);
await supabase.from('projects').update({ owner_id: next }).eq('id', id);
await supabase.from('teams').insert({ name, owner_id: user.id });
await supabase.from('projects').insert({ name, owner_id: user.id, organization_id: org });
await supabase.auth.getUser({ owner_id: user.id });
