<?php
// uses
$rows = R::find('projects', ' owner_id = ? ', [$id]);
$row = R::findOne('projects', 'id = ? AND owner_id = ?', [$one, $id]);
$number = R::count('projects', 'owner_id = :id', [':id' => $id]);
$all = R::findAll('projects', ' owner_id = ? ORDER BY name LIMIT 5', [$id]);
$rows = R::getAll('SELECT * FROM projects WHERE owner_id = ?', [$id]);
R::exec('DELETE FROM projects WHERE owner_id = ?', [$id]);
function made($id) { $bean = R::dispense('projects'); $bean->owner_id = $id; R::store($bean); }
function other($id) { $row = R::dispense('projects'); $row['owner_id'] = $id; R::store($row); }
$like = R::find('projects', ' owner_id IN (?, ?) ', [$a, $b]);
$last = R::findLast('projects', 'owner_id = ?', [$id]);
R::exec('UPDATE projects SET name = ? WHERE owner_id = ?', [$name, $id]);
// look-alikes
$rows = R::find('projects', ' owner_id <> ? ', [$id]);
$rows = R::find('projects', ' owner_id IS NULL ');
$rows = R::find('projects', ' owner_id IS NOT NULL ');
$rows = R::find('teams', ' owner_id = ? ', [$id]);
$rows = R::findAll('projects', ' ORDER BY owner_id ');
$rows = R::getAll('SELECT owner_id FROM projects');
$rows = R::find('projects', ' owner_id = ? AND organization_id = ? ', [$id, $org]);
function moved($id) { $bean = R::load('projects', 1); $bean->owner_id = $id; R::store($bean); }
function foreign($id) { $bean = R::dispense('teams'); $bean->owner_id = $id; R::store($bean); }
$mine = $bean->owner_id == $id;
log('projects', ['owner_id' => $id]);
