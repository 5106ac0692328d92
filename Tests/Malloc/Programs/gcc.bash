# SPDX-License-Identifier: Apache-2.0
quick=1
packages=(g++=g++ binutils=objdump)
work() {
  g++ -O2 -c "$repository/Tests/CLibrary/containers.cpp" -I "$repository/Sources/CSlab/include" -o object.o
  objdump -d object.o | cksum
}
