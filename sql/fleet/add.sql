-- title: One more database of the fleet
INSERT INTO databases (number, name, database, run) VALUES (:number, :name, :database, :run);
