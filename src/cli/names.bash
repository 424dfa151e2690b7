
# Names that the server or the container engine knows; silo waits two seconds for them at most.
_silo_with_names() {
    _silo "$@"
    local kind words="${COMP_WORDS[*]:1:COMP_CWORD-1}"
    case "$words" in
        scan | 'registry set' | 'registry rm' | 'registry hook') kind=registries ;;
        search | 'runs list'*' --job') kind=jobs ;;
        'runs submit') kind=images ;;
        run | batch | shell | test | publish) kind=local-images ;;
    esac
    if [[ -n $kind && $2 != -* ]]; then
        local IFS=$'\n'
        COMPREPLY+=($(compgen -W "$(silo names "$kind" 2>/dev/null)" -- "$2"))
    fi
}
complete -F _silo_with_names -o nosort -o bashdefault -o default silo
