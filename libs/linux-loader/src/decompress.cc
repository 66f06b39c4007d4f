// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "decompress.h"

#include <sys/mman.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <utility>

namespace vmm::linux_loader {
namespace {

constexpr std::size_t kChunk = 64 << 10;
constexpr int kGzipOnly = 15 + 16;  // the largest window, and a gzip header
constexpr int kMaxWindowLog = 27;   // zstd's own limit for a decoder that was not asked for more

/// Yields a source's bytes from its start, in chunks.
class Chunks {
 public:
  explicit Chunks(const ImageSource& source) : source_(source) {}

  /// The next chunk. Errors: kTruncated at the end; those of peek().
  Result<std::span<const std::byte>> next() {
    const std::uint64_t left = source_.size() - at_;
    if (left == 0) return fail(LoadError::kTruncated);
    const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(left, kChunk));
    VMM_TRY(const auto chunk, source_.peek(at_, std::span(scratch_).first(bytes)));
    at_ += bytes;
    return chunk;
  }

 private:
  const ImageSource& source_;
  std::uint64_t at_ = 0;
  std::array<std::byte, kChunk> scratch_;
};

/// A z_stream set up for gzip, ended once.
class Inflater {
 public:
  Inflater() : ready_(inflateInit2(&stream_, kGzipOnly) == Z_OK) {}
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() {
    if (ready_) inflateEnd(&stream_);
  }
  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] z_stream& stream() { return stream_; }

 private:
  z_stream stream_{};
  bool ready_;
};

Result<std::size_t> gunzip(const ImageSource& source, std::span<std::byte> out) {
  Inflater inflater;
  if (!inflater.ready()) return fail(Error::os(ENOMEM, "inflate"));
  z_stream& z = inflater.stream();
  Chunks chunks(source);
  std::size_t done = 0;
  int status = Z_OK;
  while (status != Z_STREAM_END) {
    if (z.avail_in == 0) {
      VMM_TRY(const auto chunk, chunks.next());
      z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(chunk.data()));
      z.avail_in = static_cast<uInt>(chunk.size());
    }
    const auto room = static_cast<uInt>(
        std::min<std::size_t>(out.size() - done, std::numeric_limits<uInt>::max()));
    z.next_out = reinterpret_cast<Bytef*>(out.data() + done);
    z.avail_out = room;
    status = inflate(&z, Z_NO_FLUSH);
    done += room - z.avail_out;
    if (status == Z_MEM_ERROR) return fail(Error::os(ENOMEM, "inflate"));
    if (status == Z_BUF_ERROR && z.avail_in != 0) {  // no progress with input at hand
      return fail(room == 0 ? LoadError::kTooLarge : LoadError::kCorrupt);
    }
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
      return fail(LoadError::kCorrupt);
    }
  }
  return done;
}

struct FreeDctx {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

Result<std::size_t> unzstd(const ImageSource& source, std::span<std::byte> to) {
  const std::unique_ptr<ZSTD_DCtx, FreeDctx> context(ZSTD_createDCtx());
  if (!context) return fail(Error::os(ENOMEM, "zstd"));
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  Chunks chunks(source);
  ZSTD_outBuffer out{to.data(), to.size(), 0};
  ZSTD_inBuffer in{nullptr, 0, 0};
  for (;;) {
    if (in.pos == in.size) {
      VMM_TRY(const auto chunk, chunks.next());
      in = {chunk.data(), chunk.size(), 0};
    }
    const std::size_t in_before = in.pos;
    const std::size_t out_before = out.pos;
    const std::size_t status = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(status) != 0) return fail(LoadError::kCorrupt);
    if (status == 0) return out.pos;
    if (in.pos == in_before && out.pos == out_before) {
      return fail(out.pos == out.size ? LoadError::kTooLarge : LoadError::kCorrupt);
    }
  }
}

}  // namespace

Result<Scratch> Scratch::create(std::size_t bytes) {
  void* const data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) return fail(Error::from_errno("mmap"));
  return Scratch(static_cast<std::byte*>(data), bytes);
}

Scratch::Scratch(Scratch&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Scratch::~Scratch() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Result<std::size_t> decompress(const ImageSource& source, Content content,
                               std::span<std::byte> out) {
  switch (content) {
    case Content::kGzip:
      return gunzip(source, out);
    case Content::kZstd:
      return unzstd(source, out);
    default:
      return fail(LoadError::kUnsupportedCompression);
  }
}

}  // namespace vmm::linux_loader
