// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

namespace vmm::fdt {

/// Whether every place that an overlay asks to have patched lies within the property it names, and
/// none in the lists of such places themselves. libfdt takes these offsets as they are and reads
/// and writes there. `overlay` is a blob that FdtView::open() took.
[[nodiscard]] bool overlay_offsets_are_valid(const void* overlay);

}  // namespace vmm::fdt
