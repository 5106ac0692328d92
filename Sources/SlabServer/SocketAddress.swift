// SPDX-License-Identifier: Apache-2.0
// The address of a Unix socket, made from a path.

internal import Glibc

package struct SocketAddress {
  private var address = sockaddr_un()
  package let path: String

  package init(_ path: String) throws(SlabServerError) {
    let bytes = Array(path.utf8)
    guard !bytes.isEmpty, !bytes.contains(0) else { throw .invalidPath }
    let most = MemoryLayout.size(ofValue: address.sun_path) - 1
    guard bytes.count <= most else { throw .pathTooLong(bytes: bytes.count, most: most) }
    address.sun_family = sa_family_t(AF_UNIX)
    // SAFETY: the bytes fit, with a zero behind them.
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
    self.path = path
  }

  package func connect(_ descriptor: SocketDescriptor) -> Bool {
    unsafe call { unsafe Glibc.connect(descriptor.number, $0, $1) }
  }

  func bind(_ descriptor: SocketDescriptor) -> Bool {
    unsafe call { unsafe Glibc.bind(descriptor.number, $0, $1) }
  }

  private func call(_ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt) -> Bool {
    let size = socklen_t(MemoryLayout<sockaddr_un>.size)
    // SAFETY: an address of a Unix socket, passed as the address that it is, with its size.
    return unsafe withUnsafeBytes(of: address) { bytes in
      unsafe body(bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), size) == 0
    }
  }
}
