"""The university database of manual 8.2, and its data as plain Python.

The data are made from a seed without the package, so that tests compute what queries must return
independently of it.

``CurrentTerm`` is left out: its primary key is empty, and the manual warns that empty primary
keys, such as in the ``CurrentTerm`` table, are not yet supported.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import datajoint as dj

Row = dict[str, Any]

SEED = 8_2
STUDENTS = 240

_FIRST = ("Aaron", "Rosie", "Alice", "Bob", "Carol", "Dmitri", "Zoë", "Günther", "Mary Ann", "Li")
_LAST = ("Aaronson", "Paul", "O'Neil", 'de "Ville"', "Back\\slash", "100%", "Smith", "Ng", "Óskars")
_CITIES = (("Houston", "TX"), ("Austin", "TX"), ("Derry", "ME"), ("Algoe", "NY"), ("Salem", "OR"))
_STREETS = ("Main Street", "Peppermint Tree", "Ring Road", "Drive Way")
_DEPARTMENTS = (
    ("BIOL", "Life Sciences"),
    ("CS", "Computer Science"),
    ("MATH", "Mathematics"),
    ("PHYS", "Physics"),
    ("ARTS", "Arts"),  # without courses and without majors
)
_GRADES = (
    ("A", "4.00"),
    ("A-", "3.67"),
    ("B+", "3.33"),
    ("B", "3.00"),
    ("C", "2.00"),
    ("D", "1.00"),
    ("F", "0.00"),
    ("W", "0.50"),  # given to nobody
)
_SEASONS = ("Spring", "Summer", "Fall")


@dataclass
class University:
    """The entities of every table, as lists of dicts."""

    students: list[Row] = field(default_factory=list)
    departments: list[Row] = field(default_factory=list)
    majors: list[Row] = field(default_factory=list)
    courses: list[Row] = field(default_factory=list)
    terms: list[Row] = field(default_factory=list)
    sections: list[Row] = field(default_factory=list)
    enrolments: list[Row] = field(default_factory=list)
    letter_grades: list[Row] = field(default_factory=list)
    grades: list[Row] = field(default_factory=list)


def generate(seed: int = SEED) -> University:
    """Make the data: the same for the same seed."""
    rng = random.Random(seed)
    data = University()
    data.departments = [
        {
            "dept": dept,
            "dept_name": name,
            "dept_address": f"{10 * i} Campus Drive",
            "dept_phone": f"555-000{i}",
        }
        for i, (dept, name) in enumerate(_DEPARTMENTS)
    ]
    data.students = [_student(rng, 1000 + 7 * i) for i in range(STUDENTS)]
    teaching = [dept for dept, _ in _DEPARTMENTS if dept != "ARTS"]
    data.majors = [
        {
            "student_id": student["student_id"],
            "dept": rng.choice(teaching),
            "declare_date": date(2018, 1, 1) + timedelta(days=rng.randrange(900)),
        }
        for student in data.students
        if rng.random() < 0.75
    ]
    data.courses = [
        {
            "dept": dept,
            "course": number,
            "course_name": f"{dept} {number}",
            "credits": Decimal(rng.choice(("1.5", "2.0", "3.0", "4.0"))),
        }
        for dept in teaching
        for number in (1010, 1020, 2010, 3500)
    ]
    data.terms = [
        {"term_year": year, "term": season} for year in (2018, 2019, 2020) for season in _SEASONS
    ]
    data.sections = [
        {
            "dept": course["dept"],
            "course": course["course"],
            **term,
            "section": letter,
            "room": f"{rng.choice('NSEW')}-{rng.randrange(100, 400)}",
        }
        for course in data.courses
        for term in data.terms[:-1]  # the last term has no section yet
        for letter in "ab"
        if rng.random() < 0.45
    ]
    keys = [{n: v for n, v in section.items() if n != "room"} for section in data.sections]
    taken = keys[:-3]  # nobody has enrolled in the last three sections
    data.enrolments = [
        {**key, "student_id": student["student_id"]}
        for student in data.students[:-10]  # the last ten students take nothing
        for key in rng.sample(taken, rng.randrange(1, 6))
    ]
    data.letter_grades = [{"grade": g, "points": Decimal(points)} for g, points in _GRADES]
    given = [g for g, _ in _GRADES if g != "W"]
    data.grades = [
        {**enrolment, "grade": rng.choice(given)}
        for enrolment in data.enrolments
        if rng.random() < 0.8
    ]
    return data


def _student(rng: random.Random, student_id: int) -> Row:
    city, state = rng.choice(_CITIES)
    return {
        "student_id": student_id,
        "first_name": rng.choice(_FIRST),
        "last_name": rng.choice(_LAST),
        "sex": rng.choice("FMU"),
        "date_of_birth": date(1980, 1, 1) + timedelta(days=rng.randrange(8000)),
        "home_address": f"{rng.randrange(1, 999)} {rng.choice(_STREETS)}",
        "home_city": city,
        "home_state": state,
        "home_zipcode": f"{rng.randrange(100000):05d}",
        "home_phone": f"{rng.randrange(10**7):07d}",
    }


def declare(schema: dj.Schema) -> SimpleNamespace:
    """Declare the tables of manual 8.2, word for word."""

    @schema
    class Student(dj.Manual):
        definition = """
            student_id      : int unsigned # university ID
            ---
            first_name      : varchar(40)
            last_name       : varchar(40)
            sex             : enum('F', 'M', 'U')
            date_of_birth   : date
            home_address    : varchar(200) # street address
            home_city       : varchar(30)
            home_state      : char(2) # two-letter abbreviation
            home_zipcode    : char(10)
            home_phone      : varchar(14)
            """

    @schema
    class Department(dj.Manual):
        definition = """
            dept           : char(6) # abbreviated department name, e.g. BIOL
            ---
            dept_name      : varchar(200) # full department name
            dept_address   : varchar(200) # mailing address
            dept_phone     : varchar(14)
            """

    @schema
    class StudentMajor(dj.Manual):
        definition = """
            -> Student
            ---
            -> Department
            declare_date   : date # when student declared her major
            """

    @schema
    class Course(dj.Manual):
        definition = """
            -> Department
            course         : int unsigned # course number, e.g. 1010
            ---
            course_name    : varchar(200) # e.g. "Cell Biology"
            credits        : decimal(3,1) # number of credits earned by completing the course
            """

    @schema
    class Term(dj.Manual):
        definition = """
            term_year : year
            term      : enum('Spring', 'Summer', 'Fall')
            """

    @schema
    class Section(dj.Manual):
        definition = """
            -> Course
            -> Term
            section : char(1)
            ---
            room   : varchar(12) # building and room code
            """

    @schema
    class Enroll(dj.Manual):
        definition = """
            -> Section
            -> Student
            """

    @schema
    class LetterGrade(dj.Manual):
        definition = """
            grade : char(2)
            ---
            points : decimal(3,2)
            """

    @schema
    class Grade(dj.Manual):
        definition = """
            -> Enroll
            ---
            -> LetterGrade
            """

    return SimpleNamespace(
        Student=Student,
        Department=Department,
        StudentMajor=StudentMajor,
        Course=Course,
        Term=Term,
        Section=Section,
        Enroll=Enroll,
        LetterGrade=LetterGrade,
        Grade=Grade,
    )


def populate(tables: SimpleNamespace, data: University) -> None:
    """Insert the data."""
    tables.Student.insert(data.students)
    tables.Department.insert(data.departments)
    tables.StudentMajor.insert(data.majors)
    tables.Course.insert(data.courses)
    tables.Term.insert(data.terms)
    tables.Section.insert(data.sections)
    tables.Enroll.insert(data.enrolments)
    tables.LetterGrade.insert(data.letter_grades)
    tables.Grade.insert(data.grades)
