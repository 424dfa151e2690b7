
# Names that the server or the container engine knows; silo waits two seconds for them at most.
_silo_with_names() {
    local kind before="${words[2,CURRENT-1]}"
    case "$before" in
        scan | 'registry set' | 'registry rm' | 'registry hook') kind=registries ;;
        search | 'runs list'*' --job') kind=jobs ;;
        'runs submit') kind=images ;;
        run | batch | shell | test | publish) kind=local-images ;;
    esac
    if [[ -n $kind && $PREFIX != -* ]]; then
        local -a names=(${(f)"$(silo names $kind 2>/dev/null)"})
        compadd -a names
    fi
    _silo "$@"
}
compdef _silo_with_names silo
