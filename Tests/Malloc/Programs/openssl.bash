# SPDX-License-Identifier: Apache-2.0
# Its time is what it is told to take.
measured=0
packages=(openssl=openssl)
work() {
  openssl speed -seconds 1 -multi 2 sha256 aes-256-cbc rsa2048 ecdsap256 >speed.txt 2>&1
  # What was measured, and that nothing came to 0.
  awk '/^(rsa|ecdsa|sha|aes|AES)/ || / bits / { print $1; for (i = 2; i <= NF; i++) if ($i == "0.00k") exit 1 }' speed.txt
}
