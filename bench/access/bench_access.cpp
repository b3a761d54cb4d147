// Access decisions over a real store with many assignments.
// usage: bench_access ASSIGNMENTS QUESTIONS EXPORT-FILE
//
// Prints one JSON object. "decision" is what a request pays once the mark of its snapshot is known, with the
// sentence that says why; "answer" is the same without the sentence; "check" reads the mark from the store
// too.
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "access/policy_set.h"
#include "base/text.h"
#include "crypto/system_random.h"
#include "identity/membership.h"

namespace merlon::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

template <class T>
T must(Result<T> result) {
  if (result) return *std::move(result);
  std::cerr << result.error().message << " " << result.error().cause << "\n";
  ::exit(1);
}
void must(const Result<void>& result) {
  if (result) return;
  std::cerr << result.error().message << " " << result.error().cause << "\n";
  ::exit(1);
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    if (::mkdtemp(path_.data()) == nullptr) ::exit(1);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = (std::filesystem::temp_directory_path() / "merlon-bench-XXXXXX").string();
};

double nanoseconds_since(SteadyClock::time_point begin) {
  return std::chrono::duration<double, std::nano>(SteadyClock::now() - begin).count();
}

JsonObject distribution(std::vector<double> times) {
  std::ranges::sort(times);
  double sum = 0;
  for (const double time : times) sum += time;
  const auto at = [&](double part) {
    return times[static_cast<size_t>(part * static_cast<double>(times.size() - 1))];
  };
  return {{"p50", at(0.5)}, {"p99", at(0.99)}, {"mean", sum / static_cast<double>(times.size())}};
}

class World {
 public:
  World() {
    store::Schema schema;
    for (const auto* tables : {&identity::tables(), &access::tables()})
      schema.tables.insert(schema.tables.end(), tables->begin(), tables->end());
    store_ = must(store::open_sqlite(directory_path_.path(), schema));
  }

  std::vector<access::RoleDefinition> built_in_roles() {
    return must(store::read_value<std::vector<access::RoleDefinition>>(
        *store_, [&](store::Reader& reader) { return access_.roles(reader); }));
  }

  // Straight into the tables: a subscription has at most 4000 through the front door.
  void fill(const PolicySet& set) {
    const auto in_chunks = [&](size_t count, const auto& put) {
      for (size_t begin = 0; begin < count; begin += 2000)
        must(store_->write([&](store::Transaction& tx) -> Result<void> {
          for (size_t i = begin; i < std::min(count, begin + 2000); ++i) TRY(put(tx, i));
          return {};
        }));
    };
    in_chunks(set.assignments.size(),
              [&](store::Transaction& tx, size_t i) { return store::put(tx, tenant_, set.assignments[i]); });
    in_chunks(set.memberships.size(), [&](store::Transaction& tx, size_t i) {
      return tx.put(identity::membership_table(), tenant_,
                    identity::relation_row(set.memberships[i].group, set.memberships[i].member));
    });
    must(store_->write([&](store::Transaction& tx) {
      return identity::decision_changes().note(tx, tenant_, random_, {"hierarchy"});
    }));
  }

  // The first question makes the index.
  double index_seconds(const PolicySet& set) {
    const auto begin = SteadyClock::now();
    ask_all(set, 1, [](const access::Access::View&, const PolicySet::Asked&) {});
    must(store_->read([&](store::Reader& reader) -> Result<void> {
      TRY(access_.check(reader, principal(set.questions[0].principal), set.questions[0].question));
      return {};
    }));
    return nanoseconds_since(begin) / 1e9;
  }

  template <class Ask>
  std::vector<double> ask_all(const PolicySet& set, size_t count, const Ask& ask) {
    std::vector<double> times;
    times.reserve(count);
    must(store_->read([&](store::Reader& reader) -> Result<void> {
      const auto view = TRY(access_.view(reader));
      for (size_t i = 0; i < count; ++i) {
        const auto begin = SteadyClock::now();
        ask(view, set.questions[i]);
        times.push_back(nanoseconds_since(begin));
      }
      return {};
    }));
    return times;
  }

  std::vector<double> check_all(const PolicySet& set) {
    std::vector<double> times;
    must(store_->read([&](store::Reader& reader) -> Result<void> {
      for (const PolicySet::Asked& asked : set.questions) {
        const identity::Principal who = principal(asked.principal);
        const auto begin = SteadyClock::now();
        TRY(access_.check(reader, who, asked.question));
        times.push_back(nanoseconds_since(begin));
      }
      return {};
    }));
    return times;
  }

  static identity::Principal principal(const Uuid& id) {
    identity::Principal who;
    who.object_id = id;
    return who;
  }

 private:
  TemporaryDirectory directory_path_;
  std::unique_ptr<store::Store> store_;
  SystemClock clock_;
  crypto::SystemRandom random_;
  TenantId tenant_{*Uuid::parse("0f0f0f0f-0000-4000-8000-000000000001")};
  identity::Directory directory_{tenant_, clock_, random_};
  access::Access access_{directory_, clock_, random_};
};

int run(size_t assignments, size_t questions, const std::string& export_path) {
  World world;
  const PolicySet set = make_policy_set(world.built_in_roles(), assignments, questions, 20260301);
  world.fill(set);
  const double index_seconds = world.index_seconds(set);
  std::vector<bool> answers;
  const auto answer = [&](const access::Access::View& view, const PolicySet::Asked& asked) {
    return must(view.allows(World::principal(asked.principal), asked.question));
  };
  world.ask_all(set, questions,
                [&](const auto& view, const auto& asked) { answers.push_back(answer(view, asked)); });
  const auto answer_times =
      world.ask_all(set, questions, [&](const auto& view, const auto& asked) { answer(view, asked); });
  const auto decision_times = world.ask_all(set, questions, [&](const auto& view, const auto& asked) {
    must(view.check(World::principal(asked.principal), asked.question));
  });
  std::ofstream(export_path) << to_text(to_json(set, answers));
  const auto allowed = static_cast<int64_t>(std::ranges::count(answers, true));
  std::cout << to_text(JsonObject{{"assignments", static_cast<int64_t>(assignments)},
                                  {"roles", static_cast<int64_t>(set.roles.size())},
                                  {"questions", static_cast<int64_t>(questions)},
                                  {"allowed", allowed},
                                  {"indexSeconds", index_seconds},
                                  {"decision", distribution(decision_times)},
                                  {"answer", distribution(answer_times)},
                                  {"check", distribution(world.check_all(set))}})
            << "\n";
  return 0;
}

}  // namespace
}  // namespace merlon::bench

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: bench_access ASSIGNMENTS QUESTIONS EXPORT-FILE\n";
    return 64;
  }
  return merlon::bench::run(std::stoul(argv[1]), std::stoul(argv[2]), argv[3]);
}
