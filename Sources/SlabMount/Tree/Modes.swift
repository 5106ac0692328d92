// SPDX-License-Identifier: Apache-2.0
// Who may do what, by the options of the mount; the kernel enforces it (`default_permissions`).

#if FUSE
  internal import Glibc

  struct Modes {
    private let others: Bool
    private let isWritable: Bool

    init(_ options: SlabMount.Options) {
      others = options.readers == .everyone
      isWritable = options.isWritable
    }

    func directory(isWritable: Bool) -> UInt32 {
      UInt32(S_IFDIR) | (isWritable && self.isWritable ? 0o700 : 0o500) | (others ? 0o055 : 0)
    }

    func file(isReadable: Bool = true, isWritable: Bool) -> UInt32 {
      let owner: UInt32 = (isReadable ? 0o400 : 0) | (isWritable && self.isWritable ? 0o200 : 0)
      return UInt32(S_IFREG) | owner | (others && isReadable ? 0o044 : 0)
    }

    var link: UInt32 { UInt32(S_IFLNK) | 0o777 }
  }
#endif
