// SPDX-License-Identifier: Apache-2.0
// The curves of a churn: time per group against the number of groups.

extension ChurnReport {
  var plot: LogLogPlot {
    LogLogPlot(
      title: "Time per group with \(load.caches) caches, from creation to end",
      horizontalTitle: "groups that exist at one time",
      curves: series.map { series in
        LogLogPlot.Curve(
          title: series.design.title,
          measured: series.measured.map {
            LogLogPlot.Point(horizontal: Double($0.groups), vertical: $0.nsPerGroup)
          },
          extrapolated: series.extrapolated.map {
            LogLogPlot.Point(horizontal: Double($0.groups), vertical: $0.nsPerGroup)
          })
      })
  }
}
