"""For tests of services: real processes with a status file, and the replay of recorded exchanges."""
