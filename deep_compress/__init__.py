"""What is composed above the rooms: the commands, whole jobs, searches and studies."""
