# SPDX-License-Identifier: Apache-2.0
packages=(clang-14=clang-14 g++=g++ binutils=objdump)
work() {
  clang-14 -O2 -std=c++17 -c "$repository/Tests/CLibrary/containers.cpp" -I "$repository/Sources/CSlab/include" \
    -o object.o
  objdump -d object.o | cksum
}
