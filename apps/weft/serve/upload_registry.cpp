#include "serve/upload_registry.hpp"

#include <mutex>
#include <utility>

#include "proto/refusal.hpp"

namespace weft::app {

UploadRegistry::Claim UploadRegistry::claim(const std::string& key, std::function<void()> evict,
                                            Deadline deadline) {
  const auto mine = std::make_shared<Event>();
  while (true) {
    std::shared_ptr<Event> theirs;
    {
      const std::lock_guard guard(lock_);
      const auto [it, is_free] = holders_.try_emplace(key);
      if (is_free) {
        it->second = {std::move(evict), mine};
        return Claim(*this, key, mine);
      }
      theirs = it->second.released;
      // Under the lock, so that the holder cannot end (and take what `evict` refers to along) meanwhile.
      if (auto evict_holder = std::exchange(it->second.evict, {})) evict_holder();
    }
    if (deadline.has_passed() || !theirs->wait_for(deadline.remaining())) {
      throw Refusal(Code::Busy, "another connection is still receiving this upload; try again later");
    }
  }
}

void UploadRegistry::release(const std::string& key, const std::shared_ptr<Event>& released) {
  {
    const std::lock_guard guard(lock_);
    holders_.erase(key);
  }
  released->set();
}

UploadRegistry::Claim::~Claim() {
  if (released_) registry_->release(key_, released_);
}

}  // namespace weft::app
