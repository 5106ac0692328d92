# SPDX-License-Identifier: Apache-2.0
# For .ci/run: several steps. Those whose tests keep all CPUs busy run alone, the others two at a time.

# With another beside them these take as long as one after the other, and their tests have time limits.
declare -A is_alone=([debug]=1 [thread]=1 [release]=1 [address]=1 [mutations]=1)
# What a step builds in, if others build there too: of those one at a time.
declare -A place=(
  [debug]=.build [release]=.build [embedded]=.build [replay]=.build [churn]=.build [top]=.build [report]=.build
  [malloc]=libraries [suite]=libraries [clibrary]=libraries
  [hotpath]=HotPath [client]=HotPath
  [interface]=documentation [documentation]=documentation)

# end_tree PROCESS: ends it and what it has started, whatever process groups these are in. What has ended by itself
# meanwhile is no error (set +e).
end_tree() {
  local child children
  children=$(cat "/proc/$1/task/$1/children" 2>/dev/null)
  kill "$1" 2>/dev/null
  for child in $children; do end_tree "$child"; done
}

# run_steps STEP ...: each in a process of its own.
run_steps() {
  local waiting=("$@") step next process status times= outputs=.build/steps
  declare -A step_of=() started=()
  # is_free PLACE: no step that runs builds there.
  is_free() {
    local process
    for process in "${!step_of[@]}"; do [ "${place[${step_of[$process]}]:-}" != "$1" ] || return 1; done
  }
  # can_begin STEP: beside those that run.
  can_begin() {
    local process
    [ ${#step_of[@]} -lt 2 ] || return 1
    if [ ${#step_of[@]} = 1 ]; then
      for process in "${!step_of[@]}"; do
        [ -z "${is_alone[$1]:-}${is_alone[${step_of[$process]}]:-}" ] || return 1
      done
    fi
    [ -z "${place[$1]:-}" ] || is_free "${place[$1]}"
  }
  # take_next: the first that can run now, out of those that wait into `next`.
  take_next() {
    local at
    for at in "${!waiting[@]}"; do
      next=${waiting[$at]}
      if can_begin "$next"; then
        unset "waiting[$at]"
        return 0
      fi
      # Those behind it would keep a CPU busy for ever.
      [ -z "${is_alone[$next]:-}" ] || return 1
    done
    return 1
  }
  trap 'set +e; for process in "${!step_of[@]}"; do end_tree "$process"; done' EXIT
  trap 'printf "ended while these ran: %s\n" "${step_of[*]}" >&2; exit 130' INT TERM
  mkdir -p $outputs
  while [ $((${#waiting[@]} + ${#step_of[@]})) -gt 0 ]; do
    while take_next; do
      .ci/run "$next" >"$outputs/$next.txt" 2>&1 </dev/null &
      step_of[$!]=$next
      started[$next]=$SECONDS
      printf '%6d s  %s begins\n' $SECONDS "$next"
    done
    status=0
    wait -n -p process "${!step_of[@]}" || status=$?
    step=${step_of[$process]}
    unset "step_of[$process]"
    cat "$outputs/$step.txt"
    [ $status = 0 ] || exit 1
    times+=$(printf '%6d s  %s' $((SECONDS - started[$step])) "$step")$'\n'
  done
  printf '\n%s%6d s in all\nall steps passed: %s\n' "$times" $SECONDS "$*"
}
