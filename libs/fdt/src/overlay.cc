// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <libfdt.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "overlay_check.h"
#include "vmm/fdt/fdt_view.h"

namespace vmm::fdt {
namespace {

/// Room for a tree, aligned as libfdt wants it.
class Buffer {
 public:
  explicit Buffer(std::size_t bytes) : words_(bytes / 8 + 1) {}
  [[nodiscard]] std::byte* data() { return reinterpret_cast<std::byte*>(words_.data()); }
  [[nodiscard]] std::span<const std::byte> first(std::size_t bytes) { return {data(), bytes}; }

 private:
  std::vector<std::uint64_t> words_;
};

/// A copy of an untrusted blob, cut to the size in its header and checked.
Result<Buffer, FdtError> checked_copy(std::span<const std::byte> blob, std::size_t limit,
                                      FdtError bad) {
  if (blob.size() > limit) return fail(FdtError::kTooLarge);
  Buffer copy(blob.size());
  if (!blob.empty()) std::memcpy(copy.data(), blob.data(), blob.size());
  const auto view = FdtView::open(copy.first(blob.size()));
  if (view) return copy;
  return fail(view.error() == FdtError::kBadBlob ? bad : view.error());
}

FdtError merge_error(int code) {
  switch (code) {
    case -FDT_ERR_NOSPACE:
      return FdtError::kTooLarge;
    case -FDT_ERR_NOTFOUND:
    case -FDT_ERR_BADPATH:
    case -FDT_ERR_BADPHANDLE:
      return FdtError::kOverlayTarget;
    default:
      return FdtError::kBadOverlay;
  }
}

}  // namespace

Result<std::vector<std::byte>, FdtError> apply_overlay(std::span<const std::byte> tree,
                                                       std::span<const std::byte> overlay) {
  VMM_TRY(Buffer base, checked_copy(tree, FdtView::kMaxBytes, FdtError::kBadBlob));
  VMM_TRY(Buffer changes, checked_copy(overlay, kMaxOverlayBytes, FdtError::kBadOverlay));
  if (!overlay_offsets_are_valid(changes.data())) return fail(FdtError::kBadOverlay);
  Buffer merged(FdtView::kMaxBytes);
  const int opened = ::fdt_open_into(base.data(), merged.data(), FdtView::kMaxBytes);
  if (opened == -FDT_ERR_NOSPACE) return fail(FdtError::kTooLarge);
  if (opened != 0) return fail(FdtError::kBadBlob);
  if (const int code = ::fdt_overlay_apply(merged.data(), changes.data()); code != 0) {
    return fail(merge_error(code));
  }
  if (::fdt_pack(merged.data()) != 0) return fail(FdtError::kBadOverlay);
  const std::size_t bytes = fdt_totalsize(merged.data());
  // What came out is as untrusted as what went in.
  const auto result = FdtView::open(merged.first(std::min(bytes, FdtView::kMaxBytes)));
  if (!result) {
    return fail(result.error() == FdtError::kBadBlob ? FdtError::kBadOverlay : result.error());
  }
  return std::vector<std::byte>(result->blob().begin(), result->blob().end());
}

}  // namespace vmm::fdt
