// SPDX-License-Identifier: Apache-2.0
// The option `--design`: by whose rules groups and caches end.

import ArgumentParser
import Slab

enum DesignChoice: String, ExpressibleByArgument, CaseIterable {
  case current
  case linux410 = "4.10"
  case both

  /// In the order in which they are run and shown.
  var designs: [SlabAllocator.Design] {
    switch self {
    case .current: [.current]
    case .linux410: [.linux410]
    case .both: [.linux410, .current]
    }
  }
}

extension SlabAllocator.Design {
  /// What reports call it.
  var title: String {
    switch self {
    case .current: "current"
    case .linux410: "Linux 4.10"
    }
  }
}
