// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "packed_clusters.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "file_parts.h"

namespace vmm::block::qcow2 {
namespace {

constexpr int kRawDeflate = -15;   // the largest window, no header
constexpr int kMaxWindowLog = 23;  // 8 MiB; the largest cluster has 2

Unexpected<Error> broken() { return fail(Error::os(EIO, "unpack a cluster of the qcow2 image")); }

class Inflater {
 public:
  Inflater() : ready_(inflateInit2(&stream, kRawDeflate) == Z_OK) {}
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() {
    if (ready_) inflateEnd(&stream);
  }
  [[nodiscard]] bool is_ready() const { return ready_; }

  z_stream stream{};

 private:
  bool ready_;
};

Result<void> unpack_deflate(std::span<const std::byte> from, std::span<std::byte> to) {
  Inflater inflater;
  if (!inflater.is_ready()) return fail(Error::os(ENOMEM, "unpack a cluster"));
  z_stream& z = inflater.stream;
  z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(from.data()));  // NOLINT: zlib's
  z.avail_in = static_cast<uInt>(from.size());
  z.next_out = reinterpret_cast<Bytef*>(to.data());
  z.avail_out = static_cast<uInt>(to.size());
  const int status = inflate(&z, Z_FINISH);
  if (status == Z_MEM_ERROR) return fail(Error::os(ENOMEM, "unpack a cluster"));
  // Z_BUF_ERROR: the cluster is full, and its end mark did not come yet.
  if ((status != Z_STREAM_END && status != Z_BUF_ERROR) || z.avail_out != 0) return broken();
  return {};
}

struct FreeContext {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

Result<void> unpack_zstd(std::span<const std::byte> from, std::span<std::byte> to) {
  const std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
  if (!context) return fail(Error::os(ENOMEM, "unpack a cluster"));
  (void)ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  ZSTD_inBuffer in{from.data(), from.size(), 0};
  ZSTD_outBuffer out{to.data(), to.size(), 0};
  while (out.pos < out.size) {
    const std::size_t in_before = in.pos;
    const std::size_t out_before = out.pos;
    const std::size_t status = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(status) != 0) return broken();
    if (in.pos == in_before && out.pos == out_before) return broken();
  }
  return {};
}

}  // namespace

Result<void> unpack(Compression compression, std::span<const std::byte> from,
                    std::span<std::byte> to) {
  return compression == Compression::kZstd ? unpack_zstd(from, to) : unpack_deflate(from, to);
}

Result<void> PackedClusters::load(const Cluster& cluster, Kept& kept) {
  kept.host = 0;
  packed_.resize(static_cast<std::size_t>(cluster.packed_bytes));
  kept.bytes.resize(static_cast<std::size_t>(cluster_bytes_));
  // The last one may end before the sector does.
  VMM_TRY(const std::size_t got, read_some(fd_, packed_, cluster.host));
  VMM_TRY_DO(unpack(compression_, std::span(packed_).first(got), kept.bytes));
  kept.host = cluster.host;
  return {};
}

Result<void> PackedClusters::read(const Cluster& cluster, std::uint64_t inside,
                                  std::span<std::byte> to) {
  const MutexLock lock(mutex_);
  auto* found = std::find_if(kept_.begin(), kept_.end(), [&cluster](const Kept& kept) {
    return kept.host == cluster.host && cluster.host != 0;
  });
  if (found == kept_.end()) {
    found = &kept_[next_++ % kKept];
    VMM_TRY_DO(load(cluster, *found));
  }
  std::copy_n(found->bytes.begin() + static_cast<std::ptrdiff_t>(inside), to.size(), to.begin());
  return {};
}

}  // namespace vmm::block::qcow2
