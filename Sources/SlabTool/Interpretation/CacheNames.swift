// SPDX-License-Identifier: Apache-2.0
// The names of caches whose allocations do not tell them. Up to Linux 6.18 the event of an allocation
// says where it was called from and how large the object is, and that of a free (since 5.13) has the
// cache's name. One place in the kernel allocates objects of one size from one cache, as a rule: so
// the name that most of its objects were freed under is the name of all of them.
//
// Invariants: a place has a name as soon as one of its objects was freed by name; `names` holds each
// name once. Memory is in proportion to the places and the names, and while they are learned to the
// live objects.

struct CacheNames {
  /// A place in the kernel: a vote among the names that its objects were freed under.
  private struct Site {
    var name: Int
    var votes = 1
  }

  private var sites: [Site] = []
  private var siteNumbers = KeyTable()
  /// All names, one behind the other.
  private(set) var bytes: [UInt8] = []
  private var names: [Range<Int>] = []
  private var nameNumbers = KeyTable()

  /// What stands for the place of an allocation.
  static func site(_ callSite: Range<Int>, in line: Span<UInt8>, objectBytes: UInt64) -> UInt64 {
    KeyTable.key(of: line.extracting(callSite), seed: objectBytes)
  }

  /// The name of the caches of `site`, as a range of `bytes`.
  func name(ofSite site: UInt64) -> Range<Int>? {
    siteNumbers[site].map { names[sites[$0].name] }
  }

  /// An object of `site` was freed under a name. The majority is found by counting up and down.
  mutating func learn(site: UInt64, name: Span<UInt8>) {
    let name = number(of: name)
    guard let number = siteNumbers[site] else {
      siteNumbers.set(site, to: sites.count)
      sites.append(Site(name: name))
      return
    }
    if sites[number].name == name {
      sites[number].votes += 1
    } else if sites[number].votes > 1 {
      sites[number].votes -= 1
    } else {
      sites[number] = Site(name: name)
    }
  }

  private mutating func number(of name: Span<UInt8>) -> Int {
    let key = KeyTable.key(of: name, seed: 0)
    if let known = nameNumbers[key] { return known }
    let start = bytes.count
    for offset in name.indices { bytes.append(name[offset]) }
    nameNumbers.set(key, to: names.count)
    names.append(start..<bytes.count)
    return names.count - 1
  }
}

/// Learns the names in a reading of its own, ahead of the one that lives the recording.
struct CacheNameLearner {
  private(set) var names = CacheNames()
  /// The live objects: from the address to the place.
  private var objects = KeyTable()
  private var sites: [UInt64] = []
  private var siteNumbers = KeyTable()

  /// Whether a recording needs it, by its first allocation. Where that is not among its first lines,
  /// it is assumed to.
  static func isNeeded(by reader: inout LineReader) throws(ToolError) -> Bool {
    var hasEvents = false
    let found = try reader.peek { line -> Bool? in
      guard let head = EventHead(line) else { return nil }
      hasEvents = true
      guard case .allocation(let allocation) = RecordedEvent(line, head: head) else { return nil }
      return switch allocation.cache {
      case .name: false
      case .callSite: true
      case .size: nil
      }
    }
    return found ?? (hasEvents && !reader.isAtEnd)
  }

  mutating func learn(_ line: Span<UInt8>) {
    guard !line.isEmpty, line[0] != Byte.hash, let head = EventHead(line) else { return }
    switch RecordedEvent(line, head: head) {
    case .allocation(let allocation):
      guard case .object(let address) = allocation.address else { return }
      if case .callSite(let callSite) = allocation.cache {
        let site = CacheNames.site(callSite, in: line, objectBytes: allocation.bytes)
        objects.set(address, to: number(of: site))
      } else {
        _ = objects.remove(address)
      }
    case .free(.object(let address)):
      guard let site = objects.remove(address),
        let name = RecordedEvent.freedName(in: line, head: head)
      else { return }
      names.learn(site: sites[site], name: line.extracting(name))
    default: return
    }
  }

  private mutating func number(of site: UInt64) -> Int {
    if let known = siteNumbers[site] { return known }
    siteNumbers.set(site, to: sites.count)
    sites.append(site)
    return sites.count - 1
  }
}
