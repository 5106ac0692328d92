# SPDX-License-Identifier: Apache-2.0
# For scripts that run in the repository's folder and have `run`: packages of the system. Steps of .ci/run that run beside each
# other take turns with apt.

mkdir -p .build
apt_lock=$PWD/.build/apt.lock

# install COMMAND-OR-FILE PACKAGE ...: by apt-get, if it is not there. Another step may be at it, and a command that is there
# need not work before its package is whole. What a package starts does not keep the lock.
install() {
  local wanted=$1
  shift
  (
    flock 9
    # What a run that was ended has left half-way, in a runlevel in which no service is started.
    if [ -n "$(dpkg --audit)" ]; then
      run env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive dpkg --configure -a 9>&-
    fi
    if ! command -v "$wanted" >/dev/null && ! [ -e "$wanted" ]; then
      run apt-get update -qq 9>&-
      run apt-get install -y -qq "$@" 9>&-
    fi
  ) 9>"$apt_lock"
}
