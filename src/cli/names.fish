
# Names that the server or the container engine knows; silo waits two seconds for them at most.
complete -c silo -n '__fish_seen_subcommand_from scan' -f -a '(silo names registries 2>/dev/null)'
complete -c silo -n '__fish_seen_subcommand_from registry; and __fish_seen_subcommand_from set rm hook' -f -a '(silo names registries 2>/dev/null)'
complete -c silo -n '__fish_seen_subcommand_from search' -f -a '(silo names jobs 2>/dev/null)'
complete -c silo -n '__fish_seen_subcommand_from runs; and __fish_seen_subcommand_from list' -l job -x -a '(silo names jobs 2>/dev/null)'
complete -c silo -n '__fish_seen_subcommand_from runs; and __fish_seen_subcommand_from submit' -a '(silo names images 2>/dev/null)'
complete -c silo -n '__fish_seen_subcommand_from run batch shell test publish' -a '(silo names local-images 2>/dev/null)'
