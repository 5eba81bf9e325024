"""The maintenance window: the application shut, deployed, tried and opened, with evidence."""
