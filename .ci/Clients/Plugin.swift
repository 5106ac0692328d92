// SPDX-License-Identifier: Apache-2.0
import Slab

@_cdecl("client_use") public func useFromC(_ number: Int32) -> Int32 { use(number) }

/// Calls the host back while an object lives that is charged to the current group.
@_cdecl("client_hold") public func hold(_ whileItLives: @convention(c) () -> Void) -> Int32 {
  do {
    let session = try SlabCache<Session>(named: "session-held").allocate(Session(user: 1))
    whileItLives()
    return Int32(session.consume().user)
  } catch {
    print(error)
    return 0
  }
}

/// Allocates in a group of the host, which a copy of the library that is not the host's must refuse.
@_cdecl("client_allocate_in") public func allocate(in group: UnsafeRawPointer) -> Int32 {
  do {
    let group = group.load(as: MemoryGroup.self)
    let sessions = try SlabCache<Session>(named: "session-there")
    let session = try sessions.allocate(Session(user: 1), in: group)
    return Int32(session.consume().user)
  } catch {
    print(error)
    return 0
  }
}
