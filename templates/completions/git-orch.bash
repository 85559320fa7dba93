
# `git orch <TAB>`: git's own completion calls this by its name and has split the line into `words`.
_git_orch() {
    local at=${__git_cmd_idx:-1} typed=$cur before=$prev
    local -a COMP_WORDS=(git-orch "${words[@]:at+1}")
    local COMP_CWORD=$((cword - at)) i
    _git__orch git-orch "$typed" "$before"
    # git asks readline for no space, so what is complete brings its own.
    for i in "${!COMPREPLY[@]}"; do
        case ${COMPREPLY[i]} in
            *= | */ | *' ') ;;
            *) [[ -d ${COMPREPLY[i]} ]] || COMPREPLY[i]+=' ' ;;
        esac
    done
}
