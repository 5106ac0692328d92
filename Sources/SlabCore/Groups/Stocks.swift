// SPDX-License-Identifier: Apache-2.0
// Bytes that are charged and not in use, at hand of each CPU (the kernel's obj_stock): so that an object of a shared slab
// costs one compare-and-swap on the CPU's own line, and not one in each group above.
//
// Each CPU has a line of eight words, and a payer its word in each line:
//
//   payer : 32 | bytes : 32      or 0: nothing
//
// A word changes by compare-and-swap alone, and says all there is to know, so it needs no lock, and a child of fork finds
// it whole. Bytes in stock keep their payer: a thread that has taken them out of a word may look at it.
//
// A stock is a part of the charge. It ends when another payer needs the word, when its group goes offline, and before a
// charge is refused in its group or above: so a limit never refuses what a stock could give. At most eight groups
// for each CPU have one.

internal import SlabPlatform
internal import Synchronization

/// What the groups of an allocator share.
struct SharedSlabs: ~Copyable {
  /// Whose caches the shared ones are: a group that is below no other one, without a limit, that never ends. Set once, under the
  /// registry lock, before the first group shares.
  var group: Pointer<Group>! = nil
  /// The address of the stocks' lines, of which there are a power of two; 0 until the first group shares.
  fileprivate let stocks = Atomic<UInt>(0)
  fileprivate var lineMask = 0
  /// Whether this is a child of fork. What other threads of the parent were allocating or freeing at that moment, an object for each at
  /// most, stays charged here, as all that they had.
  var isForked = false
  /// Shared groups that have gone offline: see `giveBack` of Endings/Payers.swift.
  let ends = Atomic<Int>(0)
  /// Threads that are about to make a shared cache, or have just done so: they keep the descriptors of those that end.
  let makers = Atomic<Int>(0)
}

/// What a word says.
struct Stock {
  let payer: UInt32
  let bytes: Int

  init(payer: UInt32, bytes: Int) {
    self.payer = payer
    self.bytes = bytes
  }

  fileprivate init(word: UInt64) {
    self.init(payer: UInt32(word >> 32), bytes: Int(word & 0xffff_ffff))
  }

  fileprivate var word: UInt64 { bytes == 0 ? 0 : UInt64(payer) << 32 | UInt64(bytes) }

  /// What is charged at a time where there is room: a page.
  static var refill: Int { 4096 }
  /// The same for a group of which the CPU has something left: one that goes on.
  static var furtherRefill: Int { 16 << 10 }
  /// The most that a word has: so that what a request has frees again finds room.
  static var most: Int { 32 << 10 }
}

/// The word of a payer in the line of a CPU.
@safe
struct StockWord {
  private let word: UnsafeMutablePointer<Atomic<UInt64>>

  init(at address: UInt) {
    // SAFETY: an address in the stocks' lines, which are there for ever and used atomically.
    unsafe word = UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped
  }

  var value: Stock? {
    let word = unsafe word.pointee.load(ordering: .relaxed)
    return word == 0 ? nil : Stock(word: word)
  }

  /// Takes everything out if it is of a payer.
  func takeAll(of payer: UInt32) -> Stock? {
    while let stock = value, stock.payer == payer {
      let (done, _) = unsafe word.pointee.compareExchange(
        expected: stock.word, desired: 0, ordering: .sequentiallyConsistent)
      if done { return stock }
    }
    return nil
  }

  /// Sequentially consistent, as all changes: a thread that ends a payer and one that puts something in see each other.
  func exchange(_ stock: Stock?) -> Stock? {
    let old = unsafe word.pointee.exchange(stock?.word ?? 0, ordering: .sequentiallyConsistent)
    return old == 0 ? nil : Stock(word: old)
  }

  /// Takes bytes of a payer; false if there are not as many.
  func take(_ bytes: Int, of payer: UInt32) -> Bool {
    var word = unsafe word.pointee.load(ordering: .relaxed)
    while true {
      let stock = Stock(word: word)
      guard stock.payer == payer, stock.bytes >= bytes else { return false }
      let left = Stock(payer: payer, bytes: stock.bytes - bytes).word
      let (done, now) = unsafe self.word.pointee.compareExchange(
        expected: word, desired: left, ordering: .sequentiallyConsistent)
      if done { return true }
      word = now
    }
  }

  /// Adds bytes of a payer; false if the word is another payer's, or full.
  func put(_ bytes: Int, of payer: UInt32) -> Bool {
    var word = unsafe word.pointee.load(ordering: .relaxed)
    while true {
      let stock = Stock(word: word)
      guard word == 0 || stock.payer == payer, stock.bytes + bytes <= Stock.most else {
        return false
      }
      let sum = Stock(payer: payer, bytes: stock.bytes + bytes).word
      let (done, now) = unsafe self.word.pointee.compareExchange(
        expected: word, desired: sum, ordering: .sequentiallyConsistent)
      if done { return true }
      word = now
    }
  }
}

extension Pointer where Pointee: HasGroups & ~Copyable {
  var shared: Pointer<SharedSlabs> { Pointer<SharedSlabs>(of: &groupsState.pointee.shared) }

  private static var lineBytes: UInt { 64 }
  private static var wordsOfLine: UInt32 { 8 }

  /// Makes the stocks, all empty: a line for each CPU, up to 64.
  func allocateStocks() throws(AllocatorError) -> UInt {
    let bytes = (stockLineCount + 1) * Int(Self.lineBytes)
    let stocks = try allocateInternal(bytes: bytes)
    zeroMemory(at: stocks, bytes: bytes)
    return stocks
  }

  private var stockLineCount: Int {
    var lines = 1
    while lines < min(64, region.pointee.stripeCount) { lines *= 2 }
    return lines
  }

  func publishStocks(_ stocks: UInt, under registry: borrowing RegistryLocked) {
    shared.pointee.lineMask = stockLineCount - 1
    // Releasing: pairs with the acquiring load in `stockWord`.
    shared.pointee.stocks.store(
      (stocks + Self.lineBytes - 1) & ~(Self.lineBytes - 1), ordering: .releasing)
  }

  /// Where the lines are, and the mask of their number. Once a group shares.
  var stocks: (address: UInt, lineMask: UInt) {
    (shared.pointee.stocks.load(ordering: .acquiring), UInt(shared.pointee.lineMask))
  }

  var hasStocks: Bool { shared.pointee.stocks.load(ordering: .acquiring) != 0 }

  private func stockWord(line: Int, index: UInt32) -> StockWord {
    let stocks = shared.pointee.stocks.load(ordering: .acquiring)
    return StockWord(at: stocks + UInt(line) * Self.lineBytes + UInt(index) * 8)
  }

  /// The word of a payer on the CPU that the thread ran on a moment ago.
  func stockWord(of payer: UInt32) -> StockWord {
    stockWord(
      line: region.pointee.recentStripe & shared.pointee.lineMask, index: payer % Self.wordsOfLine)
  }

  /// Visits the words that a payer can have something in. O(CPUs).
  func forEachStockWord(of payer: UInt32, _ body: (StockWord) -> Void) {
    for line in 0...shared.pointee.lineMask {
      body(stockWord(line: line, index: payer % Self.wordsOfLine))
    }
  }

  /// Visits all words. O(CPUs).
  func forEachStockWord(_ body: (StockWord) -> Void) {
    guard hasStocks else { return }
    for line in 0...shared.pointee.lineMask {
      for index in 0..<Self.wordsOfLine { body(stockWord(line: line, index: index)) }
    }
  }

  /// Bytes that a payer has in stock. O(CPUs).
  func bytesInStock(of payer: UInt32) -> Int {
    var bytes = 0
    guard hasStocks else { return 0 }
    forEachStockWord(of: payer) { word in
      if let stock = word.value, stock.payer == payer { bytes += stock.bytes }
    }
    return bytes
  }
}
