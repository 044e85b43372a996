#!/bin/sh
# Stands first on a pod's PATH as python, python3, pip and pip3. A pip line that the environment satisfies already is
# answered here, in a millisecond; anything else goes to the environment's real interpreter, unchanged.
here=${0%/*}
case ${0##*/} in
pip*) set -- -m pip "$@" ;;
esac
if [ "$1" = -m ] && [ "$2" = pip ] && [ "$3" = install ] && [ -n "$HEADWATER_SATISFIED" ]; then
    saved=$IFS
    IFS=@UNIT@
    case $HEADWATER_SATISFIED in
    *"@RECORD@$*@RECORD@"*) exit 0 ;;
    esac
    IFS=$saved
fi
case ${0##*/} in
pip*) exec "$here/../bin/python3" "$@" ;;
esac
exec "$here/../bin/${0##*/}" "$@"
