# Completion of regionctl(1) for bash: verbs, options, values of options and settings, and paths.

_regionctl() {
        local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]} options words=

        COMPREPLY=()
        if ((COMP_CWORD == 1)); then
                COMPREPLY=($(compgen -W "create ls rm seal set stat status top wait --help --version" -- "$current"))
                return
        fi
        # Readline makes three words of --sort=KEY, and of lifetime=RULE.
        if [[ $current == = ]]; then
                current= previous+==
        elif [[ $previous == = ]]; then
                previous=${COMP_WORDS[COMP_CWORD - 2]}=
        fi
        case $verb,$previous in
        create,--lifetime | create,--lifetime= | create,-l | set,lifetime=) words="kept handles" ;;
        ls,--sort | ls,--sort= | ls,-s) words="name logical padded resident handles age" ;;
        set,--reset | set,--reset= | set,-r) words="allocation lifetime" ;;
        set,allocation=) words="delayed committed" ;;
        esac
        if [[ $words ]]; then
                COMPREPLY=($(compgen -W "$words" -- "$current"))
                return
        fi
        case $verb in
        create) options="--size --mode --committed --lifetime --sealed-from --from-file --or-open" ;;
        ls) options="--long --human --json --recursive --sort --reverse" ;;
        rm) options="--force" ;;
        set) options="--reset" ;;
        stat | status) options="--json" ;;
        top) options="--delay" ;;
        wait) options="--gone --timeout" ;;
        esac
        if [[ $current == -* ]]; then
                COMPREPLY=($(compgen -W "$options --help" -- "$current"))
                return
        fi
        [[ $verb == set && $previous != *= ]] && COMPREPLY=($(compgen -W "allocation= length= lifetime= mode= sealed=1" -- "$current"))
        # Names of regions are paths, for which bash adds what readline knows of files.
        compopt -o default -o filenames
        [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace
}

complete -F _regionctl regionctl
