// How shapes are declared.
#include "schema/shape.h"

#include <utility>

namespace merlon::schema {
namespace {

// What is done with a list or a map may take its square of time, on the one thread that writes: whatever
// needs more says so (with_range), and why that is bearable.
constexpr int64_t kElementsMax = 1000;

Shape of_kind(Kind kind) {
  Shape shape;
  shape.kind = kind;
  return shape;
}

Member member(std::string name, Shape shape, Presence presence) {
  return {std::move(name), std::move(shape), presence, std::nullopt};
}

}  // namespace

Shape Shape::describe(std::string text) const {
  Shape shape = *this;
  shape.description = std::move(text);
  return shape;
}

Shape Shape::with_range(int64_t low, int64_t high) const {
  MERLON_CHECK(low <= high);
  Shape shape = *this;
  shape.minimum = low;
  shape.maximum = high;
  return shape;
}

Shape Shape::with_check(std::function<std::optional<std::string>(std::string_view)> f) const {
  MERLON_CHECK(kind == Kind::string);
  Shape shape = *this;
  shape.check = std::move(f);
  return shape;
}

Shape text() { return of_kind(Kind::string); }
Shape text_of(std::vector<std::string> values) {
  Shape shape = of_kind(Kind::string);
  shape.one_of = std::move(values);
  return shape;
}
Shape integer() { return of_kind(Kind::integer); }
Shape number() { return of_kind(Kind::number); }
Shape boolean() { return of_kind(Kind::boolean); }
Shape anything() { return of_kind(Kind::any); }
Shape object(std::vector<Member> members) {
  Shape shape = of_kind(Kind::object);
  shape.members = std::move(members);
  return shape;
}
Shape map_of(Shape values) {
  Shape shape = of_kind(Kind::object);
  shape.maximum = kElementsMax;
  shape.element = std::make_shared<const Shape>(std::move(values));
  return shape;
}
Shape array_of(Shape elements) {
  Shape shape = of_kind(Kind::array);
  shape.maximum = kElementsMax;
  shape.element = std::make_shared<const Shape>(std::move(elements));
  return shape;
}

Member required(std::string name, Shape shape) {
  return member(std::move(name), std::move(shape), Presence::required);
}
Member optional(std::string name, Shape shape) {
  return member(std::move(name), std::move(shape), Presence::optional);
}
Member defaulted(std::string name, Shape shape, Json value) {
  Member made = member(std::move(name), std::move(shape), Presence::optional);
  made.default_value = std::move(value);
  return made;
}
Member read_only(std::string name, Shape shape) {
  return member(std::move(name), std::move(shape), Presence::read_only);
}
Member create_only(std::string name, Shape shape) {
  return member(std::move(name), std::move(shape), Presence::create_only);
}

}  // namespace merlon::schema
