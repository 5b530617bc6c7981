#pragma once

#include <memory>
#include <string>

#include "base/hashing.hpp"
#include "serve/activity.hpp"
#include "serve/context.hpp"
#include "store/part_file.hpp"
#include "xfer/wire.hpp"

namespace weft::app {

/// Receives one file that is bigger than a chunk: finds out what is there already, takes the rest, checks the whole,
/// shows it under its name.
///
///     client: put  ->  server: ready (offset, digest)  ->  client: go (offset), chunks, end (digest)  ->  server: done
class UploadReceiver {
 public:
  UploadReceiver(ServerContext& context, Wire& wire, Activity& activity, const std::string& peer)
      : context_(context), wire_(wire), activity_(activity), peer_(peer) {}

  /// Throws: Refusal when the upload failed and the conversation may go on; anything else when it cannot.
  void receive(const Put& put);

 private:
  void check_before(const Put& put, int folder);
  void offer_resume(const Put& put, PartFile& part, Sha256& whole);
  void prepare_room(const Put& put, PartFile& part);
  [[nodiscard]] Go receive_go(const Put& put);
  [[nodiscard]] bool receive_body(const Put& put, PartFile& part, Sha256& whole);
  [[nodiscard]] bool receive_chunks(const Put& put, PartFile& part, Sha256& whole, std::uint64_t& position);
  void discard_chunks(const Put& put, std::uint64_t position);
  [[nodiscard]] bool receive_chunk_header(const Put& put, std::uint64_t position, ChunkHeader& header);
  void receive_end(const Put& put, PartFile& part, const Sha256& whole);
  void finish(const Put& put, PartFile& part, int folder);
  template <class Work>
  void work_while_telling(const Put& put, Work work);
  template <class Message>
  [[nodiscard]] Message receive_message(const Put& put);

  ServerContext& context_;
  Wire& wire_;
  Activity& activity_;
  const std::string& peer_;
};

}  // namespace weft::app
