// SPDX-License-Identifier: Apache-2.0
// A filter of system calls (seccomp), as servers install one once they have started.

import Glibc

private typealias Filter = @convention(c) (Int, UInt, UInt, UnsafeRawPointer) -> Int

/// System calls that a filter may forbid.
package enum FilteredCall: Sendable {
  case membarrier, setAffinity

  var number: UInt64 {
    #if arch(x86_64)
      self == .membarrier ? 324 : 203
    #else
      self == .membarrier ? 283 : 122
    #endif
  }

  /// The number of `seccomp` itself.
  static var seccomp: Int {
    #if arch(x86_64)
      317
    #else
      277
    #endif
  }
}

/// From now on these calls answer EPERM, on every thread of the process and in its children. Whether the
/// kernel took the filter.
package func forbid(_ calls: [FilteredCall]) -> Bool {
  // Of each instruction: its code, where to go if true and if false, its operand.
  func instruction(_ code: UInt64, _ yes: UInt64 = 0, _ no: UInt64 = 0, _ operand: UInt64) -> UInt64
  {
    code | yes << 16 | no << 24 | operand << 32
  }
  let allow: UInt64 = 0x7fff_0000
  let refuse: UInt64 = 0x0005_0000 | UInt64(EPERM)
  var program = [instruction(0x20, 0, 0, 0)]
  for call in calls {
    program.append(instruction(0x15, 0, 1, call.number))
    program.append(instruction(0x06, 0, 0, refuse))
  }
  program.append(instruction(0x06, 0, 0, allow))
  let call = unsafe unsafeBitCast(dlsym(nil, "syscall")!, to: Filter.self)
  let noNewPrivileges = unsafe unsafeBitCast(
    dlsym(nil, "prctl")!, to: (@convention(c) (Int32, UInt, UInt, UInt, UInt) -> Int32).self)
  guard noNewPrivileges(38, 1, 0, 0, 0) == 0 else { return false }
  // SAFETY: the kernel copies the program, which is there until the call returns.
  return unsafe program.withUnsafeBufferPointer { program in
    let header: [UInt] = [UInt(program.count), UInt(bitPattern: program.baseAddress)]
    return unsafe header.withUnsafeBufferPointer { header in
      // Mode filter, for all threads.
      unsafe call(FilteredCall.seccomp, 1, 1, UnsafeRawPointer(header.baseAddress!)) == 0
    }
  }
}
