// Time-boxed permission to do something, with a deadline that survives any crash. Grants know no service:
// kinds register what happens at the end. Deadlines are server time; the clock that judges them never runs
// backwards (trust.md, Time).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "resource/manager.h"

namespace merlon::grant {

const std::vector<store::TableSpec>& tables();
// Of before grants had groups: fills the indexes of those that are active. `group_of` reads a group out of a
// kind's own facts.
Result<void> index_active_grants(store::Transaction& tx, const TenantId& tenant,
                                 const std::function<std::string(const JsonObject& data)>& group_of);

enum class State { active, ended };

struct Grant {
  Uuid id;
  std::string kind;     // "jit"
  std::string subject;  // what it opens: a resource id, lower case (indexed)
  std::string
      group;  // under what it was given: a resource id, lower case (indexed while it is active); may be empty
  std::string holder;  // object id of who asked
  std::string holder_name;
  std::string justification;
  JsonObject data;  // the kind's own facts
  Timestamp start, deadline;
  State state = State::active;
  std::string end_reason;  // "Expired" when its time was over, else a word of its kind's
  std::optional<Timestamp> ended;
  std::string correlation_id;
  static const store::TableSpec&
  table();  // indexes: subject; of active ones: deadline, kind+subject, kind+group
  std::string key() const;
  std::vector<std::optional<std::string>> index_values() const;
  JsonObject to_json() const;
  static Result<Grant> from_json(const JsonObject& json);
};

std::string active_key(std::string_view kind, std::string_view of);  // value of an index of active grants

// Runs in the transaction that ends the grants, for all of its kind that end together: thousands may have
// been opened by one request, and what they share is brought in line once. Must undo what they did.
using EndHandler = std::function<Result<void>(resource::WriteContext&, const std::vector<Grant>&)>;

class Grants {
 public:
  Grants(const resource::Core& core, resource::Manager& manager);
  void add_kind(std::string kind, EndHandler on_end);  // before the first request

  // Server time that never runs backwards: the clock, or the persisted high-water mark when the clock was set
  // back behind it. Then, while a grant is active, it goes on with CLOCK_BOOTTIME, so that none lasts longer;
  // and while none is, it stands still until the clock has caught up. The mark is stored at least once a
  // minute and with every grant.
  Timestamp now() const;
  // Another server has said that it is so late; from now on it is here as well.
  Timestamp now_after(Timestamp mark) const;

  Result<Grant> open(store::Transaction& tx,
                     Grant grant);  // id, start and state are set here; deadline must be ahead
  Result<void> end(resource::WriteContext& context, const Uuid& id,
                   std::string_view reason);  // ending twice is fine
  Result<void> end_together(resource::WriteContext& context, const std::vector<Uuid>& ids,
                            std::string_view reason);
  // A later deadline for a grant that is still going on: one whose time is over cannot be brought back, also
  // when nobody has ended it yet.
  Result<Grant> extend(store::Transaction& tx, const Uuid& id, Timestamp deadline);
  // Replaces the kind's own facts of a grant that has not ended.
  Result<Grant> set_data(store::Transaction& tx, const Uuid& id, JsonObject data);
  Result<std::optional<Grant>> get(store::Reader& reader, const Uuid& id);
  // Each reads what it answers with and nothing else, however many others there are.
  Result<std::vector<Grant>> active(store::Reader& reader, std::string_view kind);
  Result<std::vector<Grant>> active_of_subject(store::Reader& reader, std::string_view kind,
                                               std::string_view subject);
  Result<std::vector<Grant>> active_of_group(store::Reader& reader, std::string_view kind,
                                             std::string_view group);
  Result<std::vector<Grant>> of_subject(store::Reader& reader,
                                        std::string_view subject);  // newest first, ended ones too
  // Ends every grant that is due, overdue ones of a time when nobody ran first. Call at start, before
  // serving, and often. Those that cannot be ended are tried again at the next call and hold up no other.
  // `guard` runs first in each write: its error keeps that write from happening (another server does this
  // work now).
  using Guard = std::function<Result<void>(store::Transaction&)>;
  Result<size_t> expire_due(const Guard& guard = {});
  // Takes over the mark that another server has stored, and whether a grant of any of them is active: time
  // does not run backwards between them either.
  Result<void> follow_mark();
  // Ends every active grant: after a restore. How many.
  Result<size_t> end_all(resource::WriteContext& context, std::string_view reason);
  std::optional<Timestamp> next_deadline(store::Reader& reader);

 private:
  struct DuePage {
    std::vector<Uuid> ids;
    bool last = true;
    bool none_active = false;
  };

  Result<void> mark(store::Transaction& tx, Timestamp time);
  Result<Grant> require_active(store::Reader& reader, const Uuid& id, Timestamp time);
  // Those that are due after `range.after`, which moves on.
  Result<DuePage> due(store::Reader& reader, Timestamp time, store::Range& range);
  size_t expire(const std::vector<Uuid>& ids, Timestamp time, const Guard& guard);
  Result<void> expire_in(store::Transaction& tx, const std::vector<Uuid>& ids, Timestamp time);
  Result<void> forget_oldest(store::Transaction& tx, std::string_view subject);
  Timestamp last_stored_mark() const;
  Timestamp advance() const;  // under mutex_
  void note_active();
  void note_none_active(uint64_t opened_before);
  uint64_t opened() const;

  const resource::Core& core_;
  resource::Manager& manager_;
  std::map<std::string, EndHandler> kinds_;
  mutable std::mutex mutex_;
  mutable Timestamp high_water_{};
  mutable Duration running_;  // CLOCK_BOOTTIME at high_water_
  bool any_active_ = true;    // until the store has said otherwise
  uint64_t opened_ = 0;       // how often any_active_ was set
  Timestamp stored_mark_{};
};

}  // namespace merlon::grant
