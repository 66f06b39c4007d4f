// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "vmm/base/result.h"
#include "vmm/block/image_file.h"

namespace vmm::block {

/// A part of a disk or of a file, in bytes.
struct ByteRange {
  std::uint64_t offset = 0;  ///< of the first byte
  std::uint64_t bytes = 0;   ///< 0: an empty range

  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

/// Where a part of a disk is.
struct Extent {
  /// How the bytes of an extent are had.
  enum class Kind : std::uint8_t {
    kData,  ///< at `file_offset` of `fd`; the engine moves the bytes
    kZero,  ///< nowhere, reads as zeros
    kSlow,  ///< the image makes the bytes itself: Image::read_slow()
  };

  Kind kind = Kind::kData;        ///< decides which of the other fields count
  bool zeros_past_end = false;    ///< reads beyond the end of the file give zeros, not an error
  int fd = -1;                    ///< borrowed from the image
  std::uint64_t file_offset = 0;  ///< kData: bytes, of the extent's start
  std::uint64_t bytes = 0;        ///< never 0
};

/// What discard() and write_zeroes() leave to the engine, for a range of Image::file().
struct RangeWork {
  ByteRange range;          ///< not empty
  bool deallocate = false;  ///< give the space back, so that it reads as zeros; else write zeros
};

/// What Image::map() answers: where the first bytes of the range are.
struct ReadPlan {
  std::size_t count = 0;    ///< extents, at least one
  std::uint64_t token = 0;  ///< for Image::end_read(); 0: there is nothing to end
};

/// What Image::prepare_write() answers: the first `count` extents are to be written.
struct WritePlan {
  std::size_t count = 0;    ///< extents, at least one
  std::uint64_t bytes = 0;  ///< of the range from its start: the sum of the extents
  std::uint64_t token = 0;  ///< for Image::finish_write(); 0: there is nothing to finish
};

/// A disk image format: a map from the disk to ranges of files.
///
/// An image does not move the guest's data; the engine of a queue does, straight between guest
/// memory and the file, as map() and prepare_write() say. Only what has no place in a file that can
/// be read as it is (compressed clusters) comes from read_slow(). Calls may block for the metadata
/// of the format, never for the guest's data.
///
/// Ranges are multiples of 512 bytes, not empty and inside of size_bytes(), except that resize()
/// may have made the disk smaller meanwhile: then ERANGE. Errors of all functions are those of the
/// operating system; EIO for broken metadata; EROFS when the image is read-only. The guest sees
/// each as an I/O error.
///
/// Order and durability. finish_write() comes after the data is in the file, and only then may
/// metadata point to it. A guest's flush is flush_metadata() and then fdatasync(2) of file(): it
/// makes durable what was finished before. Without a flush nothing needs to be.
///
/// Threads: every function from any thread, several at once (one for each queue). What
/// prepare_write() promised stays valid until its finish_write(), and what map() answered until
/// its reads are over: an image does not reuse places that the engine may still touch. discard(),
/// write_zeroes() and writes that overlap reads or each other at the same time are the guest's
/// mistake; the result is undefined, but stays inside the disk.
class Image {
 public:
  virtual ~Image() = default;
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  /// The size of the disk, a multiple of 512.
  [[nodiscard]] virtual std::uint64_t size_bytes() const = 0;
  /// The file that fdatasync(2) of a flush is for; its block sizes and mode are the disk's.
  [[nodiscard]] virtual const ImageFile& file() const = 0;

  /// Says where the first bytes of `range` are: fills the front of `out`, which is not empty. The
  /// extents follow each other from range.offset on and may end before the range does; the rest is
  /// asked for again. end_read() comes once the bytes were read, if there is a token.
  virtual Result<ReadPlan> map(ByteRange range, std::span<Extent> out) = 0;
  /// Ends a map() with a token that is not 0. Once.
  virtual void end_read(std::uint64_t /*token*/) {}
  /// Fills `to` with the disk's bytes from `offset` on, a part of one extent of kind kSlow.
  virtual Result<void> read_slow(std::uint64_t offset, std::span<std::byte> to) = 0;

  /// Finds places for new content of the first bytes of `range`, allocating them if need be: fills
  /// the front of `out`, which is not empty, with extents of kind kData. What a place holds besides
  /// (the rest of a new cluster) is the image's business and done when this returns.
  virtual Result<WritePlan> prepare_write(ByteRange range, std::span<Extent> out) = 0;
  /// Ends a prepare_write() with a token that is not 0. `written`: the data is in the file; else
  /// some or all of it is not, and the disk may have the old or the new content there. Once.
  virtual Result<void> finish_write(std::uint64_t /*token*/, bool /*written*/) { return {}; }

  /// The guest does not need the content any more: reads as zeros or anything it was before. What
  /// is left to be done by the engine is the answer; nullopt when nothing is. Without a right to
  /// make holes (ImageOptions::sparse) it does nothing.
  virtual Result<std::optional<RangeWork>> discard(ByteRange range) = 0;
  /// Makes the range read as zeros. `may_unmap`: its space may be given back. What is left to be
  /// done by the engine is the answer; nullopt when nothing is.
  virtual Result<std::optional<RangeWork>> write_zeroes(ByteRange range, bool may_unmap) = 0;

  /// Writes all metadata such that an fdatasync(2) of file() makes everything finished durable.
  virtual Result<void> flush_metadata() = 0;
  /// Changes the size of the disk to `bytes`, a multiple of 512. New bytes are zeros.
  /// Errors: also ENOTSUP.
  virtual Result<void> resize(std::uint64_t bytes) = 0;
  /// After a write that resize() overtook, and that ended beyond the new end of the disk: what it
  /// put there is no part of the disk, and goes where it was made a part of the file.
  virtual void trim() {}

  /// The format was guessed to be raw: writes to the first sector that would make it look like
  /// another one are refused, as the next guess would believe them.
  [[nodiscard]] virtual bool guards_first_sector() const { return false; }

 protected:
  Image() = default;
};

}  // namespace vmm::block
