# SPDX-License-Identifier: Apache-2.0
# For scripts that build the C libraries: from Swift targets, compiled as Embedded Swift, to an archive of one object
# and a shared library that needs the C library alone. To be read by bash, in the root of the repository.
#
# The objects contain the language's runtime, as far as it is used, under its own weak names. Nobody else may find
# these: in a Swift program they would take the place of its runtime. So the archive has one object in which all
# names are local but those of a version script, and the shared library is linked with that script.

# fail TEXT: ends the script.
fail() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit 1
}

# say TEXT: progress, for people only.
say() {
  if [ -t 1 ]; then printf '%s\n' "$1"; fi
}

# quietly COMMAND ...: its output is shown on a terminal, or when it fails.
quietly() {
  if [ -t 1 ]; then
    "$@"
    return
  fi
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 || status=$?
  [ $status = 0 ] || cat "$log" >&2
  rm -f "$log"
  return $status
}

# find_toolchain: sets `toolchain` to the folder of the Swift compiler's own clang, linker and tools.
find_toolchain() {
  local swiftc tool
  swiftc=$(command -v swiftc) || fail 'no swiftc: Swift 6.3 is needed (https://swift.org/install)'
  toolchain=$(dirname "$(readlink -f "$swiftc")")
  for tool in swift clang ld.lld llvm-objcopy llvm-ar; do
    [ -x "$toolchain/$tool" ] || fail "the Swift toolchain in $toolchain has no $tool"
  done
}

# compile TARGET: compiles a target and what it depends on, into $objects.
compile() {
  objects=.build-libraries/release
  # A function for each section: what no function of the library uses is left out.
  quietly "$toolchain/swift" build -c release --traits Embedded --scratch-path .build-libraries --target "$1" \
    -Xswiftc -Xfrontend -Xswiftc -function-sections -Xcc -ffunction-sections -Xcc -fdata-sections
}

# objects_of TARGET: its object files, by its sources: the folder has those of files as well that are gone.
objects_of() {
  local folder=$objects/$1.build
  if [ -e "$folder/sources" ]; then
    # Paths, perhaps in quotes.
    sed "s|.*/||; s|[\"']\$||; s|^|$folder/|; s|\$|.o|" "$folder/sources"
  else
    find "Sources/$1" -maxdepth 1 -name '*.c' -printf "$folder/%f.o\n"
  fi
}

# exported SCRIPT: the names that a version script shows.
exported() { sed -n 's/^    \([a-z_0-9]*\);$/\1/p' "$1"; }

# link NAME VERSION SCRIPT FOLDER TARGET ...: makes FOLDER/libNAME.a and libNAME.so of targets' objects.
link() {
  local name=$1 version=$2 script=$3 folder=$4 target part symbol names=() roots=() parts=()
  shift 4
  for target in "$@"; do
    while IFS= read -r part; do parts+=("$part"); done < <(objects_of "$target")
  done
  while read -r symbol; do
    names+=("--keep-global-symbol=$symbol")
    roots+=("--undefined=$symbol")
  done < <(exported "$script")
  "$toolchain/ld.lld" -r --force-group-allocation --gc-sections "${roots[@]}" \
    -o "$folder/$name.o" "${parts[@]}"
  # Their sections tell the linker of a Swift program which of its runtime's libraries to add.
  "$toolchain/llvm-objcopy" --strip-debug --remove-section=.swift1_autolink_entries "${names[@]}" "$folder/$name.o"
  rm -f "$folder/lib$name.a"
  "$toolchain/llvm-ar" rcsD "$folder/lib$name.a" "$folder/$name.o"
  "$toolchain/clang" -shared -fuse-ld=lld -Wl,--version-script="$script" -Wl,-soname,"lib$name.so.$version" \
    -Wl,-z,nodelete -Wl,-z,now -Wl,-z,relro -Wl,-z,defs -Wl,--as-needed -Wl,--gc-sections \
    -o "$folder/lib$name.so.$version" "$folder/$name.o"
  ln -sf "lib$name.so.$version" "$folder/lib$name.so"
  rm "$folder/$name.o"
}

# link_preloaded NAME VERSION SCRIPT FOLDER TARGET ...: makes FOLDER/libNAME.so of targets' objects, for LD_PRELOAD: its
# start is the first of all, before other libraries register what a fork runs.
link_preloaded() {
  local name=$1 version=$2 script=$3 folder=$4 target parts=()
  shift 4
  for target in "$@"; do parts+=("$objects/$target.build"/*.o); done
  "$toolchain/clang" -shared -fuse-ld=lld -Wl,--version-script="$script" -Wl,-soname,"lib$name.so.$version" \
    -Wl,-z,initfirst -Wl,-z,nodelete -Wl,-z,now -Wl,-z,relro -Wl,-z,defs -Wl,--as-needed -Wl,--gc-sections \
    -Wl,--strip-debug -o "$folder/lib$name.so.$version" "${parts[@]}"
  ln -sf "lib$name.so.$version" "$folder/lib$name.so"
}
