// The rules of the routes. Not for other rooms: api.h is theirs.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "recording/asciicast.h"
#include "recording/recordings.h"
#include "services/recordings/api.h"

namespace merlon::recordings {

inline constexpr std::string_view kReadAction = "Merlon.Bastion/recordings/read";
inline constexpr std::string_view kContentAction = "Merlon.Bastion/recordings/content/action";
inline constexpr std::string_view kSearchAction = "Merlon.Bastion/recordings/search/action";

class Service {
 public:
  Service(Platform& platform, recording::Recordings& all) : platform_(platform), all_(all) {}

  // As a resource; `scope` is what it is named within.
  JsonObject shown(const recording::Record& record) const;
  // The recording that the path names. 404 also where it lies elsewhere: it is named within a scope of the
  // caller's.
  Result<recording::Record> named(const resource::Call& call, store::Reader& reader) const;
  Result<recording::Record> named(const resource::Call& call) const;  // in a snapshot of its own
  // Whether who asks at the scope of the path may see it.
  Result<bool> may_see(const resource::Call& call, store::Reader& reader, std::string_view action,
                       const recording::Record& record) const;

  Result<bool> may_open(const resource::Call& call, store::Reader& reader,
                        const recording::Record& record) const;

  Result<net::Response> list(const resource::Call& call, store::Reader& reader) const;
  Result<JsonObject> content(const resource::Call& call);
  Result<JsonObject> sealed(const resource::Call& call);
  Result<JsonObject> verify(const resource::Call& call);
  Result<JsonObject> search(const resource::Call& call);
  Result<net::Response> remove(resource::WriteContext& context);
  Result<JsonObject> begin_import(const resource::Call& call);
  Result<JsonObject> add_to_import(const resource::Call& call);
  Result<JsonObject> end_import(const resource::Call& call);
  void end_idle_imports();

 private:
  // What is brought in from elsewhere, event by event.
  struct Import {
    std::mutex mutex;
    std::unique_ptr<recording::Recorder> recorder;
    recording::CastForm form = recording::CastForm::v3;
    double seconds = 0;
    std::string owner;
    Duration used{0};
  };
  Result<std::shared_ptr<Import>> own_import(const resource::Call& call);
  Result<void> add_line(Import& import, std::string_view line) const;
  Result<void> enter_reading(const resource::Call& call, const recording::Record& record);

  Platform& platform_;
  recording::Recordings& all_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Import>> imports_;  // by the recording's id
  std::map<std::string, Timestamp> readings_;               // by person and recording: entered last
};

void add_routes(Platform& platform, Service& service);

}  // namespace merlon::recordings
