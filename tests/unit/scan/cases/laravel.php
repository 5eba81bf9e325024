<?php
class Work extends Model { protected $table = 'projects'; }
// uses
Project::where('owner_id', $id)->orderBy('name')->take(5)->get();
Project::where('owner_id', '=', $id)->first();
Project::where(['owner_id' => $id, 'archived' => 0])->get();
Project::where([['owner_id', '=', $id], ['archived', 0]])->get();
Project::whereOwnerId($id)->first();
Project::whereIn('owner_id', $ids)->get();
Project::query()->where('id', 1)->where('owner_id', auth()->id())->delete();
DB::table('projects')->where('owner_id', $id)->update(['name' => 'x']);
DB::table('projects')->insert(['name' => 'x', 'owner_id' => $id]);
Project::create(['name' => 'x', 'owner_id' => $id]);
$made = new Project(['name' => 'x', 'owner_id' => $id]);
$user->projects()->where('archived', false)->get();
Auth::user()->projects->count();
Task::whereHas('project', function ($q) use ($id) { $q->where('owner_id', $id); })->get();
Task::join('projects', 'projects.id', '=', 'tasks.project_id')->where('projects.owner_id', $id)->get();
Work::where('owner_id', $id)->get();
function made($id) { $project = new Project(); $project->owner_id = $id; $project->save(); }
class Project extends Model { public function scopeOf($query, $id) { return $query->where('owner_id', $id); } }
function store($data) { $data['owner_id'] = auth()->id(); return Project::create($data); }
Team::query()->addSelect(['n' => DB::table('projects')->where('projects.owner_id', $id)->selectRaw('count(*)')]);
class ProjectBuilder extends Builder { function mine($user) { return $this->where('owner_id', $user->id); } }
// look-alikes
Project::select('id', 'owner_id')->get();
Project::where('owner_id', '!=', $id)->get();
Project::whereNull('owner_id')->get();
Project::whereNot('owner_id', $id)->get();
Project::orderBy('owner_id', 'desc')->get();
Project::with('owner')->find(1);
Project::pluck('owner_id', 'id');
Team::where('owner_id', $id)->get();
Project::where('owner_id', $id)->where('organization_id', $org)->get();
Project::where('id', 1)->update(['owner_id' => $next]);
Team::create(['owner_id' => $id]);
$user->teams()->where('archived', false)->get();
Http::post('projects', ['owner_id' => $id]);
$mine = $project->owner_id === $id;
class ProjectList extends Model { function scopeOf($query, $id) { return $query->where('owner_id', $id); } }
Team::byUser()->withCount('projects')->get();
class ProjectRepository { function any($model) { return $model::firstOrCreate(['owner_id' => 1]); } }
