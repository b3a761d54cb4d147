// A scope comes from any caller, and a second spelling of one would be a way around a deny assignment: what
// is read has one form, reads the same again, and lies inside everything around it.
#include "access/scope.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merlon::access;
  const auto path = ScopePath::parse({reinterpret_cast<const char*>(data), size});
  if (!path) return 0;
  const auto again = ScopePath::parse(path->text());
  if (!again || again->text() != path->text() || again->count() != path->count()) std::abort();
  std::string_view inner = path->text();
  for (size_t i = 0; i < path->count(); ++i) {
    const std::string_view outer = path->nearest(i);
    if (outer.empty() || !is_at_or_below(inner, outer)) std::abort();
    if (i > 0 && (outer == inner || !normal_scope(outer))) std::abort();
    inner = outer;
  }
  if (path->text() != "/" && (path->count() == 0 || path->nearest(0) != path->text())) std::abort();
  return 0;
}
