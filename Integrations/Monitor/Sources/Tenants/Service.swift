// SPDX-License-Identifier: Apache-2.0
import Slab

/// Groups that do nothing.
final class Crowd {
  private var groups: [MemoryGroup] = []
  private var objects = SlabArray<Slot<Session>>(in: .root)

  init(count: Int) throws(SlabError) {
    guard count > 0 else { return }
    let crowd = try MemoryGroup.root.makeChild(named: "crowd")
    let cache = try SlabCache<Session>(named: "crowd-session")
    groups = [crowd]
    for number in 0..<count {
      let group = try crowd.makeChild(named: "member-\(number)")
      groups.append(group)
      if number % 10 == 0 {
        try objects.append(try cache.allocate(Session(user: number), in: group))
      }
    }
  }
}

struct Session {
  var user: Int
  var state = [32 of Int](repeating: 0)
}

struct Message {
  var sender: Int
  var text = [12 of Int](repeating: 0)
}

/// Tenants whose load rises and falls. Every few seconds one ends, while some of its objects are still alive, and
/// another one comes.
final class Service {
  private let sessions: SlabCache<Session>
  private let messages: SlabCache<Message>
  private let top: MemoryGroup
  private var tenants: [Tenant] = []
  private var leftBehind = SlabArray<Slot<Session>>(in: .root)
  private var steps = 0
  private var made = 0

  init() throws(SlabError) {
    sessions = try SlabCache(named: "session")
    messages = try SlabCache(named: "message")
    top = try MemoryGroup.root.makeChild(named: "service", max: 64 << 20)
    for _ in 0..<6 { try addTenant() }
  }

  private func addTenant() throws(SlabError) {
    made += 1
    let size = made % 6 + 1
    // Some stay after their end for as long as their objects.
    let group = try top.makeChild(
      named: "tenant-\(made)", max: size << 20, high: size % 2 == 0 ? size << 19 : nil,
      endings: size % 3 == 0 ? .keep : .reparent)
    tenants.append(Tenant(size: size, group: group))
  }

  func step() throws(SlabError) {
    steps += 1
    for tenant in tenants { tenant.step(steps, sessions, messages) }
    if steps % 40 == 0 {
      let oldest = tenants.removeFirst()
      for _ in 0..<20 {
        if let session = oldest.sessions.popLast() { try leftBehind.append(session) }
      }
      oldest.sessions.removeAll()
      try oldest.group.close()
      try addTenant()
    }
    if steps % 200 == 0 { leftBehind.removeAll() }
  }
}

final class Tenant {
  let group: MemoryGroup
  var sessions: SlabArray<Slot<Session>>
  private let size: Int
  private var messages: SlabArray<Slot<Message>>
  private var bodies: SlabArray<SlabBuffer>

  init(size: Int, group: MemoryGroup) {
    self.size = size
    self.group = group
    sessions = SlabArray(in: group)
    messages = SlabArray(in: group)
    bodies = SlabArray(in: group)
  }

  func step(_ step: Int, _ sessionCache: SlabCache<Session>, _ messageCache: SlabCache<Message>) {
    let wave = (step * size / 3) % 100
    let wanted = size * 34 * (wave < 50 ? wave : 100 - wave)
    while sessions.count > wanted { _ = sessions.popLast() }
    while messages.count > 2 * wanted { _ = messages.popLast() }
    while bodies.count > wanted / 40 { _ = bodies.popLast() }
    // A tenant at its limit goes without.
    do throws(SlabError) {
      while sessions.count < wanted {
        try sessions.append(try sessionCache.allocate(Session(user: step), in: group))
      }
      while messages.count < 2 * wanted {
        try messages.append(try messageCache.allocate(Message(sender: step), in: group))
      }
      while bodies.count < wanted / 40 {
        try bodies.append(try SlabBuffer(zeroed: 6000, in: group))
      }
    } catch { return }
  }
}
