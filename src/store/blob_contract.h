// What every BlobStore must do, run against each implementation:
// INSTANTIATE_TEST_SUITE_P(Name, BlobContract, backend).
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "store/blob_store.h"

namespace merlon::store {

// One place, empty at first, that can be opened again.
class BlobBackend {
 public:
  virtual ~BlobBackend() = default;
  virtual Result<std::unique_ptr<BlobStore>> open() = 0;
};

using BlobBackendFactory = std::function<std::unique_ptr<BlobBackend>()>;

class BlobContract : public testing::TestWithParam<BlobBackendFactory> {
 protected:
  void SetUp() override {
    backend_ = GetParam()();
    reopen();
  }
  void reopen() {
    blobs_.reset();
    auto opened = backend_->open();
    ASSERT_TRUE(opened) << opened.error().message << " " << opened.error().cause;
    blobs_ = *std::move(opened);
  }
  std::string read(const std::string& name, uint64_t offset = 0, size_t length = 1 << 20) {
    const auto bytes = blobs_->read(name, offset, length);
    return bytes ? std::string(as_text(*bytes)) : "error " + bytes.error().code;
  }

  std::unique_ptr<BlobBackend> backend_;
  std::unique_ptr<BlobStore> blobs_;
};

}  // namespace merlon::store
