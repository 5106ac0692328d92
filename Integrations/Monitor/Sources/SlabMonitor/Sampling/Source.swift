// SPDX-License-Identifier: Apache-2.0
internal import FoundationEssentials
internal import Slab
internal import Synchronization

/// All that a client may ask for, made at most once in an interval.
final class Source: Sendable {
  private let allocator: SlabAllocator
  private let rendered: Paced<Rendered>
  private let profiles: Paced<Data>
  private let slabinfos: Paced<Result<Data, SlabError>>
  private let use: Use

  init(of allocator: SlabAllocator, _ configuration: SlabMonitor.Configuration) {
    let use = Use()
    let (interval, budget) = (configuration.interval, configuration.labelBudget)
    let largest = max(configuration.largestGroups, budget)
    self.allocator = allocator
    self.use = use
    rendered = Paced(every: interval) {
      let number = use.samples.add(1, ordering: .relaxed).newValue
      let sample = Sample(
        number: number, of: allocator, largest: largest, withEvents: budget)
      return Rendered(sample, budget: budget, use)
    }
    profiles = Paced(every: interval) {
      let snapshot = allocator.snapshot(largest: largest + 1, withCaches: true)
      return Data(Profile(snapshot.groups).folded.utf8)
    }
    slabinfos = Paced(every: interval) {
      do throws(SlabError) {
        return .success(Data(try allocator.slabinfo().utf8))
      } catch { return .failure(error) }
    }
  }

  func metrics(as format: Exposition.Format) -> Data { rendered.value().0.metrics(as: format) }

  var profile: Data { profiles.value().0 }

  var slabinfo: Result<Data, SlabError> { slabinfos.value().0 }

  /// What the page shows, with one group in full if it is asked for; and when there will be something new.
  func event(about path: String?) -> (Data, due: ContinuousClock.Instant) {
    let (rendered, due) = rendered.value()
    let selected = path.flatMap { path in
      allocator.group(at: path).map { PageState.Selected($0, path: path) }
    }
    var event = Data("event: sample\ndata: ".utf8)
    event += rendered.page
    event += Data("\n\nevent: group\ndata: ".utf8)
    event += PageState.encoded(selected)
    event += Data("\n\n".utf8)
    return (event, due)
  }

  func noteClients(_ change: Int) { use.clients.add(change, ordering: .relaxed) }
  func noteRefusedClient() { use.refusedClients.add(1, ordering: .relaxed) }
}

/// How the monitor itself is used.
final class Use: Sendable {
  let samples = Atomic(0)
  let clients = Atomic(0)
  let refusedClients = Atomic(0)
}

/// A sample, and what clients are sent of it, each made when the first of them wants it.
final class Rendered: Sendable {
  private let sample: Sample
  private let budget: Int
  private let use: Use
  private let documents = Mutex<[String: Data]>([:])

  init(_ sample: Sample, budget: Int, _ use: Use) {
    self.sample = sample
    self.budget = budget
    self.use = use
  }

  func metrics(as format: Exposition.Format) -> Data {
    document(format.type) {
      let families = Families(of: sample, budget: budget, use).all
      return Data(Exposition(format).text(of: families).utf8)
    }
  }

  var page: Data {
    document("page") { PageState.encoded(PageState(sample)) }
  }

  private func document(_ name: String, _ make: () -> Data) -> Data {
    documents.withLock { documents in
      if let data = documents[name] { return data }
      let data = make()
      documents[name] = data
      return data
    }
  }
}
