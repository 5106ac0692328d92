// SPDX-License-Identifier: Apache-2.0
// The policies by their names, as the value of `--endings`.

public import ArgumentParser
public import Slab

extension EndingPolicy: ExpressibleByArgument {}
