// Snapshots on a bounded pool of connections: REPEATABLE READ, READ ONLY. Not for other rooms.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "store/layout.h"
#include "store/postgres_connection.h"
#include "store/server_store.h"

namespace merlon::store {

class PostgresReaders {
 public:
  PostgresReaders(PostgresAddress address, const Layout& layout)
      : address_(std::move(address)), layout_(layout) {}

  Result<void> read(const std::function<Result<void>(WholeReader&)>& work);

 private:
  Result<std::unique_ptr<PostgresConnection>> take();
  Result<std::unique_ptr<PostgresConnection>> take_with_snapshot();
  void give_back(std::unique_ptr<PostgresConnection> connection);  // none: it was lost

  PostgresAddress address_;
  const Layout& layout_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<PostgresConnection>> idle_;
  size_t in_use_ = 0;
};

}  // namespace merlon::store
