// SPDX-License-Identifier: Apache-2.0
// Addresses and the memory behind them. The kernel deals in pages, of 4, 16 or 64 KiB; the allocator
// does in steps of its own, which may be smaller. So here a range that becomes usable is rounded outwards,
// and one that is given back inwards: the kernel itself rounds the length up, over what is in use.

internal import CSlabPlatform

extension SystemCall {
  /// Bytes of a page of the kernel.
  package static var pageBytes: Int {
    let pretended = FaultInjection.pageBytes
    return pretended != 0 ? pretended : Int(slab_page_bytes())
  }

  /// The largest page that the allocator's reservations are aligned for.
  package static var largestPageBytes: Int { 64 << 10 }

  /// A size in whole pages.
  package static func wholePages(_ bytes: Int) -> Int { (bytes + pageBytes - 1) & ~(pageBytes - 1) }

  /// Reserves a range of addresses that cannot be touched yet (mmap, PROT_NONE).
  package static func reserve(bytes: Int) throws(Errno) -> UInt {
    let pretended = FaultInjection.pageBytes
    let start = UInt(bitPattern: try perform(.reserve) { slab_mmap_reserve(bytes + pretended) })
    return pretended == 0 ? start : (start + UInt(pretended) - 1) & ~UInt(pretended - 1)
  }

  /// Ends a reservation (munmap).
  package static func unmap(at address: UInt, bytes: Int) throws(Errno) {
    let bytes = try checkAsTheKernel(address, bytes)
    _ = try perform(.unmap) { slab_munmap(address, bytes) }
  }

  /// Makes reserved addresses usable, and what shares their pages (mprotect); under strict overcommit this
  /// is what may fail.
  package static func protectReadWrite(at address: UInt, bytes: Int) throws(Errno) {
    let (start, end) = pagesAround(address, bytes)
    let bytes = try checkAsTheKernel(start, end)
    _ = try perform(.protect) { slab_mprotect_read_write(start, bytes) }
  }

  /// Makes reserved addresses readable, as zeros, and what shares their pages (mprotect).
  package static func protectRead(at address: UInt, bytes: Int) throws(Errno) {
    let (start, end) = pagesAround(address, bytes)
    let bytes = try checkAsTheKernel(start, end)
    _ = try perform(.protect) { slab_mprotect_read(start, bytes) }
  }

  /// Gives the memory of the whole pages of a range back; they read as zeros afterwards, and what is left
  /// over on both sides stays as it is (madvise, DONTNEED). EINVAL if there is no whole page.
  package static func giveBack(at address: UInt, bytes: Int) throws(Errno) {
    let page = UInt(pageBytes)
    let start = (address + page - 1) & ~(page - 1)
    let end = (address + UInt(bytes)) & ~(page - 1)
    guard start < end else { throw .invalidArgument }
    let bytes = try checkAsTheKernel(start, Int(end - start))
    _ = try perform(.giveBack) { slab_madvise_dontneed(start, bytes) }
  }

  /// Moves the memory of whole pages to other usable addresses, which have nothing; the old ones read as zeros
  /// afterwards (mremap, DONTUNMAP; Linux 5.7). EINVAL for parts of the kernel's pages.
  package static func movePages(
    from source: UInt, to target: UInt, bytes: Int
  ) throws(Errno) {
    guard (source | target | UInt(bytes)) & UInt(pageBytes - 1) == 0 else {
      throw .invalidArgument
    }
    _ = try perform(.movePages) { slab_move_pages(source, target, bytes) }
  }

  private static func pagesAround(_ address: UInt, _ bytes: Int) -> (start: UInt, bytes: Int) {
    let start = address & ~UInt(pageBytes - 1)
    return (start, wholePages(bytes + Int(address - start)))
  }

  /// What a kernel with larger pages would make of a range, where a test pretends that it has them.
  private static func checkAsTheKernel(_ address: UInt, _ bytes: Int) throws(Errno) -> Int {
    let page = FaultInjection.pageBytes
    guard page != 0 else { return bytes }
    guard address & UInt(page - 1) == 0 else { throw .invalidArgument }
    return (bytes + page - 1) & ~(page - 1)
  }
}
