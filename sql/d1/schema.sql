-- title: The schema, in lines that neither JSON nor D1 can alter
{#- Cloudflare's own tables cannot be read, and are left out. #}
{%- set ours = "l.schema='main' AND substr(l.name,1,4)<>'" ~ internal ~ "'" %}
{%- set with_rows = ours ~ " AND l.name<>'sqlite_schema' AND l.type IN ('table','shadow')" %}
SELECT {{ line("m.type", "m.name", "m.tbl_name", "m.sql") }} AS line FROM sqlite_schema m
WHERE substr(m.tbl_name,1,4)<>'{{ internal }}' ORDER BY m.rowid;
SELECT {{ line("l.name", "l.type", "l.wr") }} AS line FROM pragma_table_list l WHERE {{ ours }};
SELECT {{ line("l.name", "x.name", "x.type", "x.pk", "x.hidden") }} AS line
FROM pragma_table_list l JOIN pragma_table_xinfo(l.name) x
WHERE {{ with_rows }} ORDER BY l.name, x.cid;
SELECT {{ line("l.name", "x.name", "x.coll") }} AS line
FROM pragma_table_list l JOIN pragma_index_list(l.name) i JOIN pragma_index_xinfo(i.name) x
WHERE {{ with_rows }} AND l.wr=1 AND i.origin='pk' AND x.key=1 ORDER BY l.name, x.seqno;
SELECT {{ line("l.name", "i.origin") }} AS line
FROM pragma_table_list l JOIN pragma_index_list(l.name) i WHERE {{ with_rows }};
