"""What the sample mail talks about: a small pigeon loft and tea garden, its people, and letters from everywhere."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """A correspondent."""

    name: str
    address: str

    @property
    def first(self) -> str:
        """For greetings."""
        return self.name.split()[0]


ALICE = Person("Alice Culver", "alice@example.org")
BOB = Person("Bob Mason", "bob@example.org")
PEOPLE = (
    Person("Carla Jiménez", "carla@example.net"),
    Person("Dieter Müller", "dieter.mueller@example.com"),
    Person("Ewa Wiśniewska", "ewa@example.net"),
    Person("Farid Haddad", "farid@example.com"),
    Person("Grace O'Neill", "grace.oneill@example.net"),
    Person("Hiroshi Tanaka", "tanaka@example.com"),
    Person("Ines Ferreira", "ines@example.net"),
    Person("Jonas Lindqvist", "jonas@example.com"),
)

TOPICS = (
    ("Roof of the loft", "the north side lets the rain in", "the slates", "before the autumn"),
    ("Menu for the tea garden", "we ran out of scones by noon", "the menu", "from May on"),
    ("Ringing the young birds", "the rings have come", "the register", "at the weekend"),
    ("New sign at the gate", "nobody finds the entrance", "the sign", "for the open day"),
    ("Feed order", "the maize is nearly finished", "the order", "until Thursday"),
    ("Open day in June", "the school has asked for a tour", "the programme", "by the end of the month"),
    ("Water bill", "it has doubled since March", "the meter", "as soon as possible"),
    ("Volunteers for Saturday", "three people are away", "the rota", "tonight"),
    ("Insurance", "they want photographs of the beams", "the policy", "before the renewal"),
    ("Website", "the opening hours are last year's", "the front page", "today, if you can"),
    ("Race from Bourges", "the results are out", "the clocking times", "after the next race"),
    ("Key to the shed", "it is not on its hook", "the spare key", "when you are here"),
)

SENTENCES = (
    "I had a look this morning and it is not as bad as it sounded.",
    "Could you tell me what you think before I answer them?",
    "The weather should hold, so we can start early.",
    "If nobody objects I will go ahead on Monday.",
    "I have put the numbers together, they are further down.",
    "Last year we paid about half of that, if I remember rightly.",
    "The builder says two days, which means four.",
    "I would rather wait for the second offer.",
    "There is still some paint left in the shed, the green one.",
    "My train gets in at ten past nine; I will walk from the station.",
    "Please bring the folder with the old drawings.",
    "We counted forty-two birds, one more than yesterday.",
    "Thank you for taking care of this so quickly.",
    "The children loved it and asked when they may come again.",
    "I have not heard from the council yet and shall ring them up.",
    "Do not worry about the ladder, I have one in the car.",
    "That leaves the question of who will do the shopping.",
    "It works, but only if somebody holds the door.",
    "I attach what I have; the rest follows tomorrow.",
    "Let us talk about it over a cup of tea.",
)

LIST_TOPICS = (
    "Which index fields pay for themselves?",
    "Maildir on ZFS: record size",
    "Clients that open five connections",
    "UIDVALIDITY after restoring a backup",
    "Counting birds with a light barrier",
    "inotify limits on small machines",
    "Folder names with a dot",
    "How many flags is too many?",
    "[ANN] Loft telemetry 0.3",
    "Moving ten years of mail",
)

LETTERS: tuple[tuple[str, str, str, str, str], ...] = (
    # charset, transfer encoding, sender, subject, text
    (
        "iso-8859-1",
        "quoted-printable",
        "Jürgen Groß",
        "Grüße aus Köln",
        "Liebe Alice,\n\nschöne Grüße aus Köln! Die Tauben sind gut angekommen, müde, aber gesund. Größere Mühe machte "
        "uns nur der Käfig, der nicht durch die Tür paßte.\n\nHerzliche Grüße\nJürgen\n",
    ),
    (
        "utf-8",
        "quoted-printable",
        "Hélène Lefèvre",
        "Fenêtres et volière",
        "Chère Alice,\n\nles fenêtres de la volière sont arrivées : très bien emballées, à l’exception d’une vitre "
        "fêlée. Le vitrier passera dès lundi. Ça ira !\n\nÀ bientôt,\nHélène\n",
    ),
    (
        "iso-8859-2",
        "quoted-printable",
        "Paweł Żółkiewski",
        "Wyścig gołębi",
        "Cześć Alicjo,\n\nnasze gołębie wróciły jako pierwsze, choć wiało mocno. Zdjęcia prześlę, gdy tylko znajdę "
        "kabel.\n\nŚciskam,\nPaweł\n",
    ),
    (
        "koi8-r",
        "base64",
        "Ольга Соколова",
        "Письмо из Твери",
        "Дорогая Алиса!\n\nСпасибо за чертежи голубятни. Мы построили такую же, только поменьше, и голуби уже "
        "освоились. Приезжайте весной!\n\nОльга\n",
    ),
    (
        "windows-1251",
        "8bit",
        "Иван Петров",
        "Снимки",
        "Здравствуйте, Алиса.\n\nФотографии получились хорошие, высылаю их отдельным письмом.\n\nИван\n",
    ),
    (
        "iso-8859-7",
        "base64",
        "Νίκος Παπαδάκης",
        "Καλημέρα από την Κρήτη",
        "Αγαπητή Αλίκη,\n\nο περιστερώνας του παππού μου έγινε καφενείο. Να έρθεις το καλοκαίρι!\n\nΝίκος\n",
    ),
    (
        "iso-2022-jp",
        "7bit",
        "田中 弘",
        "鳩舎の写真について",
        "アリス様\n\n鳩舎の写真をありがとうございました。屋根の形がとても美しいですね。\n来月、家族で伺います。\n\n田中\n",
    ),
    (
        "shift_jis",
        "base64",
        "佐藤 恵子",
        "お茶会のお知らせ",
        "皆様\n\n五月十日の午後二時から、庭でお茶会を開きます。雨の場合は中で行います。\n\n佐藤\n",
    ),
    (
        "gb18030",
        "base64",
        "王小明",
        "关于鸽子的问题",
        "爱丽丝你好:\n\n请问你们的鸽子每天飞多远?我儿子想知道,他正在写一篇作文。\n\n谢谢!\n小明\n",
    ),
    (
        "big5",
        "base64",
        "林美玲",
        "茶葉的訂單",
        "愛麗絲:\n\n茶葉已經寄出,大約一個星期會到。今年的味道特別香。\n\n美玲\n",
    ),
    (
        "euc-kr",
        "base64",
        "김영수",
        "비둘기 사진",
        "앨리스 씨,\n\n보내 주신 사진을 잘 받았습니다. 비둘기가 정말 예쁩니다.\n\n영수\n",
    ),
    (
        "windows-1255",
        "base64",
        "דוד לוי",
        "שובך היונים",
        "אליס שלום,\n\nקיבלנו את התוכניות של השובך. תודה רבה!\n\nדוד\n",
    ),
    (
        "windows-1256",
        "base64",
        "ليلى حداد",
        "برج الحمام",
        "عزيزتي أليس،\n\nبرج الحمام عندنا قديم جدا، وسأرسل لك صورته قريبا.\n\nليلى\n",
    ),
    ("tis-620", "base64", "สมชาย ใจดี", "นกพิราบ", "สวัสดีครับ\n\nนกพิราบของเราบินกลับมาครบทุกตัวแล้วครับ\n\nสมชาย\n"),
    (
        "iso-8859-9",
        "quoted-printable",
        "Ayşe Yılmaz",
        "Güvercinler",
        "Sevgili Alice,\n\ngüvercinler için teşekkürler. Çocuklar çok sevindi, şimdi her gün dışarıdalar.\n\nAyşe\n",
    ),
    (
        "windows-1252",
        "quoted-printable",
        "Niamh Byrne",
        "“Quotes” – and a price: €12",
        "Dear Alice,\n\nthe “curly” quotes — and the € sign — come from the office. It’s £10 or €12.\n\nNiamh\n",
    ),
    (
        "utf-8",
        "8bit",
        "Nguyễn Thị Hương",
        "Chim bồ câu đã về",
        "Chào Alice,\n\nđàn bồ câu đã về đủ, không thiếu con nào.\n\nHương\n",
    ),
    (
        "utf-8",
        "base64",
        "Zoë 🐦",
        "🕊️ News from the loft 🎉",
        "Hi Alice 👋\n\nfirst egg of the year! 🥚 We think it is Agatha’s. Cake on Friday? 🍰\n\nZoë\n",
    ),
    (
        "iso-8859-15",
        "quoted-printable",
        "Šimon Œuvrard",
        "Œufs et Šimon",
        "Bonjour,\n\n12 œufs coûtent 4 €.\n\nŠimon\n",
    ),
    (
        "utf-16",
        "base64",
        "Óscar Núñez",
        "Presupuesto en UTF-16",
        "Hola Alicia:\n\nel presupuesto son 340 €; ¿te parece bien?\n\nÓscar\n",
    ),
    (
        "iso-8859-4",
        "quoted-printable",
        "Jānis Bērziņš",
        "Sveiciens",
        "Sveika, Alise!\n\nPaldies par vēstuli, būsim klāt.\n\nJānis\n",
    ),
    (
        "utf-7",
        "7bit",
        "Åse Bjørnsdottir",
        "From an old gateway",
        "Hei Alice,\n\nblåbærsyltetøy kommer på lørdag.\n\nÅse\n",
    ),
)

NEWSLETTER = """\
<!DOCTYPE html>
<html><head><meta charset="utf-8"><style>body {{ font-family: Georgia, serif; max-width: 36em }}</style></head>
<body>
<h1>{title}</h1>
<p>Dear friends of the loft,</p>
<p>{first}</p>
<p>{second}</p>
<table border="1" cellpadding="4"><tr><th>Day</th><th>Hours</th></tr>
<tr><td>Saturday</td><td>10 – 18</td></tr><tr><td>Sunday</td><td>12 – 18</td></tr></table>
<p><a href="https://example.org/loft/{number}">Read on</a> · <a href="https://example.org/unsubscribe">Unsubscribe</a></p>
{picture}
</body></html>
"""
