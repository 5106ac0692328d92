// SPDX-License-Identifier: Apache-2.0
// The error of a system call. A struct and not an enum: a newer kernel needs no newer release.

/// An error number of the Linux kernel.
@frozen
@usableFromInline
package struct Errno: Error, Equatable, Sendable, RawRepresentable {
  @usableFromInline package let rawValue: Int32

  @inlinable
  package init(rawValue: Int32) { self.rawValue = rawValue }

  /// EINTR: interrupted by a signal.
  package static let interrupted = Errno(rawValue: 4)
  /// EAGAIN: the futex word had another value, or a resource is short for now.
  package static let resourceTemporarilyUnavailable = Errno(rawValue: 11)
  /// ENOMEM: no memory, or the limit on address space or locked memory is reached.
  package static let noMemory = Errno(rawValue: 12)
  /// EINVAL: invalid argument; membarrier answers it for a command that it does not know.
  package static let invalidArgument = Errno(rawValue: 22)
  /// ENOTSUP: the operation is not supported.
  package static let notSupported = Errno(rawValue: 95)
  /// ETIMEDOUT: the wait's time is over.
  package static let timedOut = Errno(rawValue: 110)
}
