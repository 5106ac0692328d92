# SPDX-License-Identifier: Apache-2.0
# This repository: cloned, packed anew, checked.
quick=1
packages=(git=git)
work() {
  rm -rf copy
  git clone -q --no-hardlinks "$repository" copy
  cd copy
  git gc -q --prune=now
  git fsck --no-progress
  git log --stat --oneline | cksum
}
