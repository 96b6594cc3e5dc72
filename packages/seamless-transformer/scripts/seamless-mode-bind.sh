#!/usr/bin/env bash
# Seamless mode for bash: what is typed runs as a step of seamless-run.
#
#   source seamless-mode-bind.sh
#   seamless-mode-bind                  Ctrl-U U switches the mode on and off
#   seamless-mode-on [OPTION...]        on, with these options of seamless-run
#   seamless-mode-off, seamless-mode-toggle, seamless-mode-unbind
#
# How it works. Enter becomes a macro: a function that rewrites the line, then whatever Enter was. The keys between
# them are escape sequences that no terminal sends. A line is rewritten only at a primary prompt: the prompt hook sets
# `_seamless_mode_at_prompt` and Enter clears it, so continuation lines, here-documents and `read -e` are left alone.
# The line as typed goes into the history; the rewritten one begins with a space and is kept out by HISTCONTROL,
# which the prompt hook puts back.
#
# A function that a key or the prompt calls returns the status that it has found, for `$?` to survive; with `set -e`
# it returns 0, which is what `$?` is then, lest it end the shell. Every variable here begins with
# _seamless_mode_ or _sm_: a name like `line` would hide the user's `$line`.

# Until here has been seen to be bash, this must be readable for any shell.
if [ -z "${BASH_VERSION-}" ]; then
    echo "seamless-mode: needs bash 4.4 or later, and this is another shell. Start bash, and source it there." >&2
    return 1 2>/dev/null || exit 1
fi
if [ "$((${BASH_VERSINFO[0]} * 100 + ${BASH_VERSINFO[1]}))" -lt 404 ]; then
    echo "seamless-mode: needs bash 4.4 or later, and this is bash $BASH_VERSION." >&2
    return 1 2>/dev/null || exit 1
fi
if ! (return 0 2>/dev/null); then
    echo "seamless-mode: this file is to be sourced: source seamless-mode-bind.sh; seamless-mode-bind" >&2
    exit 2
fi
if [[ :$SHELLOPTS: == *:posix:* ]]; then
    echo "seamless-mode: needs bash outside its POSIX mode: set +o posix" >&2
    return 1
fi

# ---- what the user calls

seamless-mode-bind() {
    local -
    set +aefuxv
    _seamless_mode_begin || return
    [[ ! $_seamless_mode_is_bound ]] || return 0
    local _sm_map _sm_key
    for _sm_map in "${_seamless_mode_keymaps[@]}"; do
        builtin bind -m "$_sm_map" -x "\"${_seamless_mode_key}6~\": _seamless_mode_key_toggle"
        builtin bind -m "$_sm_map" "\"${_seamless_mode_key}7~\": accept-line"
        builtin bind -m "$_sm_map" -x "\"${_seamless_mode_key}8~\": _seamless_mode_key_restore"
        for _sm_key in '\C-uu' '\C-uU'; do
            _seamless_mode_take "$_sm_map" "$_sm_key"
            builtin bind -m "$_sm_map" \
                "\"$_sm_key\": \"${_seamless_mode_key}6~${_seamless_mode_key}7~${_seamless_mode_key}8~\""
        done
    done
    _seamless_mode_is_bound=1
}

seamless-mode-unbind() {
    local -
    set +aefuxv
    _seamless_mode_begin || return
    seamless-mode-off
    [[ $_seamless_mode_is_bound ]] || return 0
    local _sm_map _sm_key
    for _sm_map in "${_seamless_mode_keymaps[@]}"; do
        for _sm_key in '\C-uu' '\C-uU'; do
            _seamless_mode_give_back "$_sm_map" "$_sm_key"
        done
        for _sm_key in 6 7 8; do
            builtin bind -m "$_sm_map" -r "$_seamless_mode_key$_sm_key~"
        done
    done
    _seamless_mode_is_bound=
}

seamless-mode-on() {
    local -
    set +aefuxv
    _seamless_mode_begin || return
    _seamless_mode_options=("$@")
    _seamless_mode_has_complained=
    [[ ! $_seamless_mode_is_on ]] || return 0
    local _sm_map _sm_key
    for _sm_map in "${_seamless_mode_keymaps[@]}"; do
        builtin bind -m "$_sm_map" -x "\"${_seamless_mode_key}1~\": _seamless_mode_key_enter \"\${_-}\""
        builtin bind -m "$_sm_map" "\"${_seamless_mode_key}3~\": history-expand-line"
        builtin bind -m "$_sm_map" -x "\"${_seamless_mode_key}4~\": _seamless_mode_key_expanded \"\${_-}\""
        for _sm_key in m j; do
            _seamless_mode_take "$_sm_map" "\\C-$_sm_key"
            _seamless_mode_bind_saved "$_sm_map" "\\C-$_sm_key" "${_seamless_mode_key}5$_sm_key"
            builtin bind -m "$_sm_map" \
                "\"\\C-$_sm_key\": \"${_seamless_mode_key}1~${_seamless_mode_key}2~${_seamless_mode_key}5$_sm_key\""
        done
    done
    _seamless_mode_is_on=1
    _seamless_mode_at_prompt=
    _seamless_mode_then ''
    _seamless_mode_hook
    _seamless_mode_mark_prompt
}

seamless-mode-off() {
    local -
    set +aefuxv
    _seamless_mode_begin || return
    [[ $_seamless_mode_is_on ]] || return 0
    local _sm_map _sm_key
    for _sm_map in "${_seamless_mode_keymaps[@]}"; do
        for _sm_key in m j; do
            _seamless_mode_give_back "$_sm_map" "\\C-$_sm_key"
            builtin bind -m "$_sm_map" -r "${_seamless_mode_key}5$_sm_key"
        done
        for _sm_key in 1 2 3 4; do
            builtin bind -m "$_sm_map" -r "$_seamless_mode_key$_sm_key~"
        done
    done
    _seamless_mode_is_on=
    _seamless_mode_restore_history
    _seamless_mode_unhook
    local _sm_mark=$_seamless_mode_mark
    if [[ -v PS1 ]]; then
        PS1=${PS1/"$_sm_mark"/}
    fi
    if [[ -v _OLD_VIRTUAL_PS1 ]]; then # what deactivate of a virtual environment will restore
        _OLD_VIRTUAL_PS1=${_OLD_VIRTUAL_PS1/"$_sm_mark"/}
    fi
    if [[ $_seamless_mode_had_no_ps1 && ! ${PS1-} ]]; then
        unset PS1
    fi
}

seamless-mode-toggle() {
    local -
    set +aefuxv
    _seamless_mode_begin || return
    if [[ $_seamless_mode_is_on ]]; then
        seamless-mode-off
    else
        seamless-mode-on "$@"
    fi
}

# ---- what the keys call

_seamless_mode_key_enter() { # the argument is `$_`, which so keeps its value
    local _sm_status=$?
    [[ $- != *e* ]] || _sm_status=0
    local -
    set +aefuxv
    [[ ! $_seamless_mode_then_what ]] || _seamless_mode_then ''
    if [[ ! $_seamless_mode_at_prompt ]]; then # a continuation line, `read -e`, or PROMPT_COMMAND has been replaced
        _seamless_mode_hook
        return "$_sm_status"
    fi
    _seamless_mode_at_prompt=
    local _sm_characters=${histchars-'!^#'}
    if [[ -o histexpand && ($READLINE_LINE == *"${_sm_characters:0:1}"* || $READLINE_LINE == "${_sm_characters:1:1}"*) ]]; then
        local _sm_expanded
        if ! _sm_expanded=$(builtin history -p -- "$READLINE_LINE" 2>/dev/null); then
            _seamless_mode_at_prompt=1 # bash says why, and asks again
            return "$_sm_status"
        elif [[ $_sm_expanded != "$READLINE_LINE" ]]; then
            if shopt -q histverify; then
                _seamless_mode_at_prompt=1 # bash expands it and asks again
            else
                _seamless_mode_then "${_seamless_mode_key}3~${_seamless_mode_key}4~"
            fi
            return "$_sm_status"
        fi
    fi
    _seamless_mode_rewrite
    return "$_sm_status"
}

_seamless_mode_key_expanded() {
    local _sm_status=$?
    [[ $- != *e* ]] || _sm_status=0
    local -
    set +aefuxv
    _seamless_mode_rewrite
    return "$_sm_status"
}

_seamless_mode_key_toggle() { # an empty line then brings the new prompt, and _seamless_mode_key_restore the line
    local _sm_status=$?
    [[ $- != *e* ]] || _sm_status=0
    seamless-mode-toggle "${_seamless_mode_options[@]}"
    _seamless_mode_stashed_line=$READLINE_LINE _seamless_mode_stashed_point=$READLINE_POINT
    READLINE_LINE= READLINE_POINT=0
    return "$_sm_status"
}

_seamless_mode_key_restore() {
    local _sm_status=$?
    [[ $- != *e* ]] || _sm_status=0
    READLINE_LINE=$_seamless_mode_stashed_line READLINE_POINT=$_seamless_mode_stashed_point
    return "$_sm_status"
}

# ---- the line

_seamless_mode_rewrite() {
    local _sm_word _sm_output IFS=$' \t\n'
    _sm_word=${READLINE_LINE#"${READLINE_LINE%%[![:space:]]*}"}
    _sm_word=${_sm_word%%[[:space:];&|<>()]*}
    if [[ $READLINE_LINE != *[![:space:]]* || $READLINE_LINE == *\\ || $_sm_word == '#'* ]]; then
        return 0
    elif builtin declare -F -- "$_sm_word" &>/dev/null; then # only this shell knows what it does
        return 0
    elif builtin alias -- "$_sm_word" &>/dev/null && ! builtin type -P -- "$_sm_word" &>/dev/null; then
        return 0
    elif ! _sm_output=$(LC_ALL=C BASH_ENV='' "$BASH" -n -c "$READLINE_LINE" 2>&1) || [[ $_sm_output ]]; then
        return 0 # more lines are to come, or bash says what is wrong
    elif ! builtin type -P _seamlessify >/dev/null; then
        _seamless_mode_complain "there is no _seamlessify on PATH"
        return 0
    elif ! _sm_output=$(_seamless_mode_call_seamlessify); then
        _seamless_mode_complain "_seamlessify has failed"
        return 0
    elif [[ $_sm_output != 'seamless-run '* ]]; then
        return 0 # left alone
    fi
    if [[ :$SHELLOPTS: == *:history:* ]]; then
        builtin history -s -- "$READLINE_LINE"
        if [[ ! $_seamless_mode_histcontrol ]]; then
            _seamless_mode_histcontrol=${HISTCONTROL+=$HISTCONTROL}
            _seamless_mode_histcontrol=${_seamless_mode_histcontrol:-unset}
        fi
        HISTCONTROL=ignorespace
    fi
    READLINE_LINE=" $_sm_output"
    READLINE_POINT=${#READLINE_LINE}
}

_seamless_mode_call_seamlessify() {
    local _sm_rest=$READLINE_LINE _sm_name
    while [[ $_sm_rest =~ \$\{?([A-Za-z_][A-Za-z0-9_]*) ]]; do
        _sm_name=${BASH_REMATCH[1]}
        _sm_rest=${_sm_rest#*"${BASH_REMATCH[0]}"}
        if [[ -v $_sm_name ]]; then
            builtin export "_SEAMLESSIFY_VALUE_$_sm_name=${!_sm_name}"
        fi
    done
    command _seamlessify "$READLINE_LINE" @@@ "${_seamless_mode_options[@]}"
}

_seamless_mode_complain() {
    [[ ! $_seamless_mode_has_complained ]] || return 0
    _seamless_mode_has_complained=1
    builtin printf '%s\n' "seamless-mode: $1; lines run as typed." \
        "hint:  pip install seamless-transformer, or seamless-mode-off" >&2
}

# ---- prompt and history

_seamless_mode_prompt() {
    local _sm_status=$?
    [[ $- != *e* ]] || _sm_status=0
    local -
    set +aefuxv
    _seamless_mode_at_prompt=1
    _seamless_mode_restore_history
    _seamless_mode_mark_prompt
    return "$_sm_status"
}

_seamless_mode_mark_prompt() {
    if [[ ${PS1-} != *"$_seamless_mode_mark"* ]]; then
        PS1=$_seamless_mode_mark${PS1-}
    fi
}

_seamless_mode_restore_history() {
    case $_seamless_mode_histcontrol in
        unset) unset HISTCONTROL ;;
        =*) HISTCONTROL=${_seamless_mode_histcontrol#=} ;;
    esac
    _seamless_mode_histcontrol=
}

_seamless_mode_hook() {
    _seamless_mode_prompt_is_array || {
        if [[ ${PROMPT_COMMAND-} != *"$_seamless_mode_hook_text"* ]]; then
            [[ -v PROMPT_COMMAND ]] || _seamless_mode_had_no_prompt_command=1
            PROMPT_COMMAND=${PROMPT_COMMAND:+$PROMPT_COMMAND$'\n'}$_seamless_mode_hook_text
        fi
        return 0
    }
    local _sm_command
    for _sm_command in "${PROMPT_COMMAND[@]}"; do
        [[ $_sm_command != *"$_seamless_mode_hook_text"* ]] || return 0
    done
    PROMPT_COMMAND+=("$_seamless_mode_hook_text")
}

_seamless_mode_unhook() {
    local _sm_index _sm_text=$_seamless_mode_hook_text
    for _sm_index in "${!PROMPT_COMMAND[@]}"; do
        if [[ ${PROMPT_COMMAND[_sm_index]} == "$_sm_text" ]] && _seamless_mode_prompt_is_array; then
            unset "PROMPT_COMMAND[$_sm_index]"
        elif _seamless_mode_prompt_is_array; then
            PROMPT_COMMAND[_sm_index]=${PROMPT_COMMAND[_sm_index]/$'\n'"$_sm_text"/}
        else # without an index, lest it become an array
            PROMPT_COMMAND=${PROMPT_COMMAND/$'\n'"$_sm_text"/}
            PROMPT_COMMAND=${PROMPT_COMMAND/"$_sm_text"/}
        fi
    done
    if [[ $_seamless_mode_had_no_prompt_command && ! ${PROMPT_COMMAND-} ]]; then
        unset PROMPT_COMMAND
    fi
    _seamless_mode_had_no_prompt_command=
}

_seamless_mode_prompt_is_array() { # bash runs the elements of an array since 5.1
    ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)) &&
        [[ $(builtin declare -p PROMPT_COMMAND 2>/dev/null) == 'declare -'*([!' '])a* ]]
}

# ---- keys

_seamless_mode_then() { # what stands between rewriting the line and accepting it
    local _sm_map
    _seamless_mode_then_what=$1
    for _sm_map in "${_seamless_mode_keymaps[@]}"; do
        builtin bind -m "$_sm_map" "\"${_seamless_mode_key}2~\": \"$1\""
    done
}

_seamless_mode_take() { # map key: remember what the key does
    local _sm_list _sm_line
    for _sm_list in p s X; do
        while IFS= read -r _sm_line; do
            if [[ $_sm_line == "\"$2\": "* ]]; then
                _seamless_mode_saved[$1 $2]=$_sm_list${_sm_line#"\"$2\": "}
                return 0
            fi
        done <<<"$(builtin bind -m "$1" "-$_sm_list" 2>/dev/null)"
    done
    _seamless_mode_saved[$1 $2]=
}

_seamless_mode_bind_saved() { # map key other: let the other key do what was remembered of the key
    local _sm_saved=${_seamless_mode_saved[$1 $2]} _sm_command
    case $_sm_saved in
        '') ;;
        X*)
            _sm_command=${_sm_saved#X}
            if [[ $_sm_command == '"'*'"' ]]; then
                _sm_command=${_sm_command#\"} _sm_command=${_sm_command%\"}
                _sm_command=${_sm_command//'\"'/'"'} _sm_command=${_sm_command//'\\'/'\'}
            fi
            builtin bind -m "$1" -x "\"$3\": $_sm_command"
            ;;
        *) builtin bind -m "$1" "\"$3\": ${_sm_saved:1}" ;;
    esac
}

_seamless_mode_give_back() { # map key
    builtin bind -m "$1" -r "$2"
    _seamless_mode_bind_saved "$1" "$2" "$2"
    unset "_seamless_mode_saved[$1 $2]"
}

# ---- state

_seamless_mode_begin() { # fail, with a message, where there is no line editing; forget the state of a parent shell
    if [[ $- != *i* || :$SHELLOPTS: != *:@(emacs|vi):* ]]; then
        builtin printf '%s\n' "seamless-mode: needs an interactive shell with line editing." >&2
        return 1
    fi
    [[ ${_seamless_mode_pid-} != "$$" ]] || return 0
    _seamless_mode_key='\e[5150;'
    _seamless_mode_keymaps=(emacs-standard vi-insert vi-command)
    _seamless_mode_mark='[seamless-mode] '
    _seamless_mode_hook_text='case ${_seamless_mode_pid-} in "$$") _seamless_mode_prompt ;; esac' # keeps $?
    _seamless_mode_options=()
    _seamless_mode_is_on= _seamless_mode_is_bound= _seamless_mode_at_prompt= _seamless_mode_then_what=
    _seamless_mode_histcontrol= _seamless_mode_has_complained= _seamless_mode_had_no_prompt_command=
    _seamless_mode_stashed_line= _seamless_mode_stashed_point=0
    unset _seamless_mode_saved
    declare -gA _seamless_mode_saved=()
    _seamless_mode_had_no_ps1=
    [[ -v PS1 ]] || _seamless_mode_had_no_ps1=1
    _seamless_mode_pid=$$
}
