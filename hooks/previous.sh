hooks=${0%/*}
common=${hooks%/*/*}
record=$hooks/.previous
# The record says where hooks were before us, and holds while no configuration file is younger.
{ IFS= read -r previous && IFS= read -r seen; } 2>/dev/null <"$record" || seen=
if [ "$seen" = "from:$HOME:$XDG_CONFIG_HOME:$GIT_CONFIG_GLOBAL:$GIT_CONFIG_SYSTEM:$GIT_CONFIG_NOSYSTEM" ] &&
    ! [ "$common/config" -nt "$record" ] &&
    ! [ "${GIT_CONFIG_GLOBAL:-$HOME/.gitconfig}" -nt "$record" ] &&
    ! [ "${XDG_CONFIG_HOME:-$HOME/.config}/git/config" -nt "$record" ] &&
    ! [ "${GIT_CONFIG_SYSTEM:-/etc/gitconfig}" -nt "$record" ]; then
    [ -x "$previous/@NAME@" ] || exit 0
    exec "$previous/@NAME@" "$@"
fi
[ -x "$orch" ] || orch=git-orch
command -v "$orch" >/dev/null 2>&1 && exec "$orch" hook @NAME@ -- "$@"
# Without git-orch nobody knows of other hooks than the repository's own.
[ -x "$common/hooks/@NAME@" ] || exit 0
exec "$common/hooks/@NAME@" "$@"
