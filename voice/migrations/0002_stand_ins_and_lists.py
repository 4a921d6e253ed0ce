from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('voice', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='voice',
            name='listed',
            field=models.BooleanField(editable=False, null=True, verbose_name='在提供方的清单中'),
        ),
        migrations.AddField(
            model_name='voice',
            name='stand_in',
            field=models.CharField(blank=True, default='', help_text='另一声音的标识符：提供方未接通时由它代说', max_length=100, verbose_name='替声'),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name='voice',
            name='language',
            field=models.CharField(default='zh', help_text='zh、en……；mul 表示任何语言', max_length=8, verbose_name='语言'),
        ),
        migrations.AlterField(
            model_name='voice',
            name='sample_url',
            field=models.CharField(blank=True, help_text='绝对网址，或以 / 开头的本站路径；留空则首次试听时合成一段并保存', max_length=500, verbose_name='试听'),
        ),
    ]
