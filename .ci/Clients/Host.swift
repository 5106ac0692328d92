// SPDX-License-Identifier: Apache-2.0
// Has the library itself, and loads a plug-in that has it too.
//
//   Host LIBRARY one|two         how many copies there are: one counts the plug-in's objects, two do not
//   Host LIBRARY group           hands one of its groups to the plug-in
import Glibc
import Slab

typealias Hold = @convention(c) (@convention(c) () -> Void) -> Int32
typealias AllocateIn = @convention(c) (UnsafeRawPointer) -> Int32

@main struct Host {
  static let tenant = try! MemoryGroup.root.makeChild(named: "tenant-of-the-host", max: 1 << 20)
  nonisolated(unsafe) static var used = -1

  static func main() {
    let arguments = CommandLine.arguments
    guard arguments.count == 3, let library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL) else {
      fatalError(dlerror().map { String(cString: $0) } ?? "usage: Host LIBRARY one|two|group")
    }
    if arguments[2] == "group" {
      let allocate = unsafeBitCast(dlsym(library, "client_allocate_in"), to: AllocateIn.self)
      var tenant = tenant
      print("allocated:", withUnsafePointer(to: &tenant) { allocate($0) })
      return
    }
    let hold = unsafeBitCast(dlsym(library, "client_hold"), to: Hold.self)
    let result = MemoryGroup.withCurrent(tenant) { hold { Host.used = Host.tenant.usage } }
    guard result == 1 else { fatalError("\(result) instead of 1") }
    guard (used > 0) == (arguments[2] == "one") else {
      fatalError("\(used) bytes of the host's group are used: not \(arguments[2])")
    }
    dlclose(library)
    let own = try! SlabCache<Int>(named: "own").allocate(7, in: tenant)
    guard own.consume() == 7 else { fatalError("not what was stored") }
  }
}
